"""The contenders: how each is started, and the token with which each knows a caller."""

import os
import sys
from base64 import b64encode
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import jwt
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import make_url

from tenantry.clock import now
from tenantry.config import Settings
from tenantry.security.keys import KeyRing
from tenantry.security.principal import Principal
from tenantry.security.tokens import TokenService
from tenantry.security.vault import Vault
from tenantry.testing.databases import DatabaseUrls
from tenantry.testing.service import COMMAND, environment_of
from tests.load.dataset import Member

__all__ = ("BYPASSING_ROLE", "FASTAPI", "LIMIT", "POOLED", "RAW", "SERVE", "SERVICE", "SESSION", "Contender", "Lineup")

SERVICE, SESSION, FASTAPI = "service", "service (session)", "fastapi"
LIMIT, POOLED, RAW = "limit", "limit (pool)", "raw"
BYPASSING_ROLE = "tenantry_benchmark"
"""The contenders without row-level security connect as this one, which is above it."""
SECRET = "a secret of 32 bytes, as PyJWT wants it"
ISSUER = "https://benchmark.example"
SECRETS_KEY = b64encode(bytes(32)).decode()
INSTALLED = Path(__file__).parents[2] / ".venv" / "bin" / "python"
SERVE = (str(INSTALLED) if INSTALLED.exists() else sys.executable, *COMMAND[1:])
"""Where the rivals' packages are not: Litestar and others load what they find, and it costs memory and time."""
SERVE_AS_SHIPPED = os.environ.get("SERVICE_PYTHON") or SERVE[0], *COMMAND[1:]
"""Where the tools of development are not either: `just bench` makes an environment of the image's packages."""
TOKEN_LIFETIME = timedelta(hours=6)  # longer than any run
Token = Callable[[Member], str]


class Contender(msgspec.Struct, frozen=True):
    name: str
    about: str
    command: tuple[str, ...]
    environment: dict[str, str]
    token: Token
    ready: str = "/health/live"
    logs_in: bool = False


class Lineup:
    """All of one database and one key."""

    def __init__(self, urls: DatabaseUrls, home: Path) -> None:
        self.urls, self.home, self.key = urls, home, Ed25519PrivateKey.generate()
        self.vault = Vault.from_settings(Settings(key_encryption_key=SECRETS_KEY))
        self.tokens = TokenService(KeyRing.of(self.key), issuer=ISSUER, lifetime=TOKEN_LIFETIME)

    def all(self) -> list[Contender]:
        service = self.service(SERVICE, "as shipped: every feature on")
        session = self.service(
            SESSION, "the same without the fast lane: SQLAlchemy sessions", TENANTRY_DATABASE_FAST_LANE="false"
        )
        has_lane = "database_fast_lane" in Settings.__struct_fields__
        return [service, *([session] if has_lane else []), *self.rivals()]

    def rivals(self) -> list[Contender]:
        url = make_url(self.urls.runtime).set(username=BYPASSING_ROLE)
        by_hand = {
            "DATABASE_URL": url.set(drivername="postgresql").render_as_string(hide_password=False),
            "PUBLIC_KEY": pem(self.key)[1],
            "ISSUER": ISSUER,
        }
        asyncpg = url.set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)
        by_orm = {"DATABASE_URL": asyncpg, "SECRET": SECRET}
        about = "FastAPI, SQLAlchemy async, pydantic, PyJWT as their users write it"
        return [
            rival(LIMIT, "Litestar, raw asyncpg, all cached, no reset, no RLS: (2c)", self.service_token, by_hand),
            rival(
                POOLED,
                "the same with asyncpg's pool, not reset",
                self.service_token,
                by_hand | {"POOL": "yes"},
                "limit",
            ),
            rival(RAW, "Litestar, raw asyncpg, no RLS: (2)", self.service_token, by_hand),
            rival(FASTAPI, about, fastapi_token, by_orm, module="fastapi_sqlalchemy"),
        ]

    def service(self, name: str, about: str, **environment: str) -> Contender:
        """Like production: JSON log lines into a file, real accounts, row-level security, one worker."""
        settings = Settings(
            env="production",
            home=str(self.home),
            database_url=self.urls.runtime,
            migration_database_url=self.urls.migration,
            token_private_key=pem(self.key)[0],
            key_encryption_key=SECRETS_KEY,
            public_url=ISSUER,
            allowed_hosts="127.0.0.1",
            smtp_url="smtp://127.0.0.1:25",  # production wants one; no scenario sends mail
        )
        served = environment_of(settings) | {"TENANTRY_PORT": "{port}"} | environment
        return Contender(name, about, SERVE_AS_SHIPPED, served, self.service_token, "/health/ready", logs_in=True)

    def service_token(self, member: Member) -> str:
        return self.tokens.issue(Principal(member.user_id, member.session_id, member.tenant_id))


def rival(name: str, about: str, token: Token, environment: dict[str, str], module: str = "") -> Contender:
    options = "--port {port} --loop uvloop --http httptools --no-access-log --log-level warning --no-server-header"
    command = (sys.executable, "-m", "uvicorn", f"tests.load.contenders.{module or name}:app", *options.split())
    given = {f"BENCHMARK_{key}": value for key, value in environment.items()}
    return Contender(name, about, command, dict(os.environ) | given, token, logs_in=name == FASTAPI)


def fastapi_token(member: Member) -> str:
    claims = {"sub": str(member.user_id), "tid": str(member.tenant_id), "exp": now() + TOKEN_LIFETIME}
    return jwt.encode(claims, SECRET, "HS256")


def pem(key: Ed25519PrivateKey) -> tuple[str, str]:
    """The private and the public one."""
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()
