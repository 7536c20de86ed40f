"""`tenantry keys reseal`: after it, nothing needs the key that sealed before."""

import base64
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from click.testing import CliRunner, Result
from psycopg import sql

from features.mfa.tests.people import Phone, challenge_of, enrolled, verify
from features.mfa.tests.test_totp import STEP
from features.signing_keys.commands import keys
from tenantry.app import create_app
from tenantry.clock import now
from tenantry.config import Settings
from tenantry.security.plugin import SecurityPlugin
from tenantry.security.vault import Vault
from tenantry.signing.store import add_key
from tenantry.tenancy.resealing import sealed_columns
from tenantry.testing import Api, World, asgi_client
from tenantry.testing.databases import DatabaseUrls, TestDatabases
from tenantry.testing.service import environment_of
from tests.contract import security_document as document

OLD, NEW = (base64.b64encode(bytes([byte]) * 32).decode() for byte in (1, 2))
SEALED = {
    "mail_queue.sealed", "signing_keys.sealed_key", "sso_connections.client_secret", "totp_secrets.sealed_secret",
}  # fmt: skip
LISTED = """
import features.signing_keys.commands
from tenantry.tenancy.resealing import sealed_columns
print(*map(str, sealed_columns()))
"""
CONNECTION = {"name": "x", "issuer": "https://idp.example", "client_id": "x", "client_secret": "hush", "domains": []}


@pytest.fixture
def urls(databases: TestDatabases, worker_id: str) -> Iterator[DatabaseUrls]:
    """A database of its own, whose secrets no other test reads."""
    with databases.clone(f"reseal_{worker_id}") as urls:
        yield urls


@pytest.fixture
def old_settings(urls: DatabaseUrls, tmp_path: Path) -> Settings:
    home = {"home": str(tmp_path), "database_url": urls.runtime, "migration_database_url": urls.migration}
    return Settings(**home, key_encryption_key=OLD, send_mail=False)  # type: ignore[arg-type]  # texts alone


def sealed_by(settings: Settings, key: str) -> Settings:
    return msgspec.structs.replace(settings, key_encryption_key=key)


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[tuple[Api, World]]:
    app = create_app(settings)
    async with app.lifespan(), asgi_client(app) as client:
        security = app.plugins.get(SecurityPlugin)
        hashed = await security.passwords.hash("correct horse battery staple")
        yield Api(client), World(app.state.database, security.tokens, hashed)


def stored(urls: DatabaseUrls) -> dict[str, list[bytes]]:
    """What is sealed, by column."""
    with psycopg.connect(urls.conninfo) as connection:
        whole = sql.SQL("SELECT {} FROM {}")
        return {
            str(column): [
                bytes(row[0])
                for row in connection.execute(
                    whole.format(sql.Identifier(column.name), sql.Identifier(column.table.name))
                )
            ]
            for column in sealed_columns()
        }


def run(settings: Settings, key: str) -> Result:
    return CliRunner(env=environment_of(sealed_by(settings, key))).invoke(keys, ["reseal"])


async def filled(settings: Settings) -> tuple[Any, Phone]:
    """A person with an app, connections of two tenants, a key, and mail that waits: all sealed with the old key."""
    add_key(settings, Vault.from_settings(settings), "EdDSA", now())
    async with served(settings) as (api, world):
        ada = await world.account()
        for name in ("acme", "globex"):
            owner = (await world.tenant(name)).owner
            made = await api.as_(owner).post("/sso/connections", json=CONNECTION | {"default_role": "member"})
            assert 201 == made.status_code, made.text
        await api.post("/auth/password/forgot", json={"email": ada.email})
        return ada, await enrolled(api, ada)


@pytest.mark.asvs("11.2.2")
async def test_old_key_can_go(old_settings: Settings, urls: DatabaseUrls) -> None:
    """What it has sealed is sealed anew for the same row, in all tenants, and works without it."""
    ada, phone = await filled(old_settings)
    before = stored(urls)
    done, again = run(old_settings, f"{NEW},{OLD}"), run(old_settings, f"{NEW},{OLD}")
    after, vault = stored(urls), Vault.from_settings(sealed_by(old_settings, NEW))
    async with served(sealed_by(old_settings, NEW)) as (api, world):
        entered = await verify(api, await challenge_of(api, ada), phone.code(now() + STEP))
        removed = await api.bearing(entered.json()["access_token"]).delete("/auth/mfa/totp")
        signs = (await api.as_(await world.account()).get("/me")).status_code

    counts = {column: len(values) for column, values in before.items() if values}
    assert SEALED == counts.keys()
    assert 2 == counts["sso_connections.client_secret"]
    assert (0, 0) == (done.exit_code, again.exit_code), (done.output, again.output)
    assert counts == {column: len([*filter(vault.is_current, values)]) for column, values in after.items() if values}
    assert (200, 204, 200) == (entered.status_code, removed.status_code, signs)


async def test_lost_key_is_told(old_settings: Settings, urls: DatabaseUrls) -> None:
    """Without the key that sealed it nothing is changed, and the command fails."""
    add_key(old_settings, Vault.from_settings(old_settings), "EdDSA", now())
    before = stored(urls)
    refused = run(old_settings, NEW)

    assert (1, True) == (refused.exit_code, "is lost" in refused.output)
    assert before == stored(urls)


def test_all_that_is_sealed_is_declared() -> None:
    """Each purpose for which the document says that something is sealed is that of a column."""
    sealed = {purpose for purpose, key in document.column("Purpose").items() if key == "sealing"}

    assert sealed == {column.info["sealed"][0] for column in sealed_columns()}


def test_command_knows_them_all() -> None:
    """Whatever else has been imported: a program that has only the command's modules finds the same columns."""
    listed = subprocess.run([sys.executable, "-c", LISTED], capture_output=True, text=True, check=True)

    assert sorted(SEALED | {"sso_flows.sealed"}) == sorted(listed.stdout.split())
