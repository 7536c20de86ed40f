"""What can be set: every field of `Settings` is an environment variable."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec

__all__ = ("Settings", "variable")


def about(text: str, *, secret: bool = False, example: str = "") -> msgspec.Meta:
    """What a person should know of a setting; `example` stands in `.env.example` where no default does."""
    return msgspec.Meta(description=text, extra={"secret": secret, "example": example})


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every field `x` is the variable `TENANTRY_X`."""

    env: Annotated[
        Literal["development", "production"], about("production refuses unsafe defaults and never migrates by itself")
    ] = "development"
    host: Annotated[str, about("Address to listen on")] = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535), about("Port to listen on")] = 8000
    workers: Annotated[int, msgspec.Meta(ge=1, le=256), about("Worker processes")] = 1
    home: Annotated[str, about("Folder in which development keeps its database, mail and keys")] = ".tenantry"
    public_url: Annotated[
        Annotated[str, msgspec.Meta(pattern=r"^https?://[^/?#]+(/[^?#]*)?$")] | None,
        about("Address that people and mails use for this service; development uses the port", example="https://…"),
    ] = None
    database_url: Annotated[
        str | None,
        about(
            "PostgreSQL 15 or newer, as the runtime role; without it development starts one from a wheel",
            secret=True,
            example="postgresql://tenantry_app:…@db.example/tenantry",
        ),
    ] = None
    migration_database_url: Annotated[
        str | None,
        about(
            "The same database as the migrator role; only `tenantry database …` uses it",
            secret=True,
            example="postgresql://tenantry_migrator:…@db.example/tenantry",
        ),
    ] = None
    database_pool_size: Annotated[
        int,
        msgspec.Meta(ge=1, le=1000),
        about("Connections to the database, per worker, and half as many again for what outlives an error"),
    ] = 10
    database_timeout_seconds: Annotated[
        float, msgspec.Meta(gt=0, le=3600), about("Longest that one statement may take")
    ] = 10.0
    database_fast_lane: Annotated[
        bool, about("Send short statements, their authorization and their commit in one round trip")
    ] = True
    database_lane_connections: Annotated[
        int, msgspec.Meta(ge=1, le=100), about("Connections of the fast lane, per worker, beside those of the pool")
    ] = 8
    database_lane_queue: Annotated[
        int, msgspec.Meta(ge=1, le=10_000), about("Requests that may wait on one of them; beyond, the answer is 503")
    ] = 200
    database_transaction_pooler: Annotated[
        bool, about("Keep nothing in connections, as behind PgBouncer, which is noticed: for poolers that are not")
    ] = False
    request_timeout_seconds: Annotated[
        float, msgspec.Meta(gt=0, le=3600), about("Longest that a request may take until its answer begins")
    ] = 30.0
    redis_url: Annotated[
        str | None,
        about("Redis or Valkey for the shared cache; without it each worker has its own", secret=True,
              example="redis://:…@cache.example:6379/0"),
    ] = None  # fmt: skip
    smtp_url: Annotated[
        str | None,
        about("Mail server; without it development writes mail to files", secret=True,
              example="smtp+starttls://user:…@mail.example:587"),
    ] = None  # fmt: skip
    mail_from: Annotated[str, about("Sender of mail")] = "Tenantry <no-reply@localhost>"
    mail_templates: Annotated[
        str | None, about("Folder whose files replace mails of the same name, such as `invitation.html`",
                          example="/etc/tenantry/mails/…"),
    ] = None  # fmt: skip
    send_mail: Annotated[bool, about("Send mail that waits in the database; off where other processes do")] = True
    trusted_proxies: Annotated[
        str, about("Addresses or networks, comma-separated, whose X-Forwarded-For and -Proto are believed")
    ] = ""
    outbound_networks: Annotated[
        str, about("Networks, comma-separated, to which requests may go although they are not on the internet",
                   example="10.20.0.0/16, …"),
    ] = ""  # fmt: skip
    token_private_key: Annotated[
        str | None,
        about("Private key (PEM) that signs until `tenantry keys` has made others; development makes one", secret=True,
              example="-----BEGIN PRIVATE KEY-----…"),
    ] = None  # fmt: skip
    signing_algorithm: Annotated[
        Literal["EdDSA", "RS256", "ES256"], about("Of the keys that `tenantry keys rotate` makes")
    ] = "EdDSA"
    key_encryption_key: Annotated[
        str | None,
        about("Key (32 bytes in Base64) that seals stored secrets; comma-separated, of which the first one seals",
              secret=True, example="…="),
    ] = None  # fmt: skip
    sso_issuer: Annotated[
        str | None,
        about("Issuer of the OpenID provider by which all people may log in, beside those that tenants connect",
              example="https://accounts.example/…"),
    ] = None  # fmt: skip
    sso_client_id: Annotated[str | None, about("What that provider calls this service", example="…")] = None
    sso_client_secret: Annotated[str | None, about("The secret for it", secret=True, example="…")] = None
    sso_return_urls: Annotated[
        str, about("Addresses, comma-separated and exact, to which a log-in by a provider may lead back; else /docs")
    ] = ""
    default_plan: Annotated[Literal["free", "team", "unlimited"], about("Plan of new tenants")] = "unlimited"
    tenant_grace_days: Annotated[
        int, msgspec.Meta(ge=0, le=365), about("Days in which a tenant that its owner has deleted can be restored")
    ] = 30
    idempotency_key_hours: Annotated[
        int, msgspec.Meta(ge=1, le=720), about("Hours for which the answer to an Idempotency-Key is kept")
    ] = 24
    browser_origins: Annotated[
        str,
        about("Other origins, comma-separated, whose pages may use cookies: a proxy's own name"),
    ] = ""
    access_token_seconds: Annotated[int, msgspec.Meta(ge=30, le=3600), about("Life of an access token")] = 600
    refresh_token_days: Annotated[
        int, msgspec.Meta(ge=1, le=365), about("Days without use after which a session ends")
    ] = 30
    session_days: Annotated[
        int, msgspec.Meta(ge=1, le=3650), about("Days after which a session ends, however often it is used")
    ] = 90
    fresh_auth_seconds: Annotated[
        int, msgspec.Meta(ge=30, le=86_400), about("How long a proof of who one is counts as fresh, for what needs one")
    ] = 600
    guesses_per_account: Annotated[
        int, msgspec.Meta(ge=3, le=1000), about("Wrong passwords for one account in ten minutes; then none is right")
    ] = 10
    guesses_per_network: Annotated[
        int,
        msgspec.Meta(ge=3, le=100_000),
        about("Wrong passwords or refresh tokens from one address (IPv6: /64) in ten minutes; then the answer is 429"),
    ] = 100
    guesses_in_all: Annotated[
        int,
        msgspec.Meta(ge=0, le=10_000_000),
        about("Wrong passwords in ten minutes from networks that accounts do not know; then 429. 0: as many as come"),
    ] = 3000
    password_hash_threads: Annotated[
        int, msgspec.Meta(ge=1, le=64), about("Passwords hashed at the same time, per worker")
    ] = 2
    requests_at_once: Annotated[
        int, msgspec.Meta(ge=1, le=100_000), about("Requests in work or waiting for it, per worker; beyond, 503")
    ] = 500
    allowed_hosts: Annotated[
        str,
        about("Hosts that requests may name, comma-separated; by default any, in production that of the public URL"),
    ] = ""
    cors_origins: Annotated[
        Annotated[str, msgspec.Meta(pattern=r"^(\s*https?://[^/?#,*\s]+\s*(,|$))*$")],
        about("Origins whose pages may read answers, exact and comma-separated", example="https://app.example.com"),
    ] = ""
    anonymous_requests_per_minute: Annotated[
        Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] | None,
        about("From one address (IPv6: /64) without a credential; 0 is no limit; by default 600 in production"),
    ] = None
    credential_requests_per_minute: Annotated[
        int, msgspec.Meta(ge=0, le=1_000_000), about("With one session or API key; 0 is no limit")
    ] = 0
    password_hash_memory_kib: Annotated[
        int, msgspec.Meta(ge=1024, le=4_194_304), about("Memory that argon2id takes for each password, in KiB")
    ] = 19_456
    password_hash_iterations: Annotated[
        int, msgspec.Meta(ge=1, le=100), about("Passes of argon2id over that memory")
    ] = 2
    password_hash_lanes: Annotated[int, msgspec.Meta(ge=1, le=16), about("Lanes of argon2id")] = 1
    password_words: Annotated[
        str, about("Words, comma-separated, that no password may be made of, such as names of your products")
    ] = ""
    breached_passwords_url: Annotated[
        Annotated[str, msgspec.Meta(pattern=r"^https?://[^/?#]+(/[^?#]*)?$")] | None,
        about("Service that knows breached passwords, such as https://api.pwnedpasswords.com", example="https://…"),
    ] = None
    breached_passwords_timeout_seconds: Annotated[
        float,
        msgspec.Meta(gt=0, le=30),
        about("Longest that it may take; a password is then taken, and a line logged"),
    ] = 2.0
    max_body_bytes: Annotated[int, msgspec.Meta(ge=1024), about("Largest request body that is read")] = 1_048_576
    log_format: Annotated[
        Literal["console", "json"] | None, about("console or json; by default json in production")
    ] = None
    log_level: Annotated[Literal["debug", "info", "warning", "error"], about("Least severe level that is logged")] = (
        "info"
    )

    @property
    def base_url(self) -> str:
        return (self.public_url or f"http://127.0.0.1:{self.port}").rstrip("/")

    @property
    def home_path(self) -> Path:
        return Path(self.home).absolute()

    @property
    def is_production(self) -> bool:
        return self.env == "production"

    @property
    def uses_embedded_database(self) -> bool:
        return self.database_url is None and self.migration_database_url is None


def variable(field: str) -> str:
    return f"TENANTRY_{field.upper()}"
