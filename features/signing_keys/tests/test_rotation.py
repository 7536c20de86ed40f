"""Keys change while tokens are checked: nobody is signed out by it, and no worker has to start again."""

import asyncio
import base64
import hmac
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import jwt
import psycopg
import pytest
from cryptography.hazmat.primitives import serialization

from tenantry.app import create_app
from tenantry.clock import frozen_at, now
from tenantry.config import Settings
from tenantry.security.keys import LONGEST_TOKEN, Algorithm, public_bytes
from tenantry.security.plugin import SecurityPlugin
from tenantry.security.vault import Vault
from tenantry.signing.plugin import SigningPlugin
from tenantry.signing.store import PUBLISHED_BEFORE, add_key, withdraw_key
from tenantry.signing.watch import KeyWatch
from tenantry.testing import Account, Api, World, asgi_client, problem
from tenantry.testing.databases import DatabaseUrls, TestDatabases


class Worker(NamedTuple):
    api: Api
    security: SecurityPlugin
    world: World
    watch: KeyWatch

    async def looks(self) -> None:
        """As it does every half a minute."""
        await self.watch._load()

    async def published(self) -> list[str]:
        keys = (await self.api.client.get("/.well-known/jwks.json")).json()["keys"]
        return [key["kid"] for key in keys]

    def forget_when_it_looked(self) -> None:
        self.watch._asked = float("-inf")


@pytest.fixture(scope="module")
def urls(databases: TestDatabases, worker_id: str) -> Iterator[DatabaseUrls]:
    """A database of their own: other tests sign with the key of the settings."""
    with databases.clone(f"keys_{worker_id}") as urls:
        yield urls


@pytest.fixture
def own_settings(urls: DatabaseUrls, tmp_path: Path) -> Iterator[Settings]:
    yield Settings(home=str(tmp_path), database_url=urls.runtime, migration_database_url=urls.migration)
    with psycopg.connect(urls.conninfo) as connection:
        connection.execute("DELETE FROM signing_keys")


@pytest.fixture
async def workers(own_settings: Settings) -> AsyncIterator[tuple[Worker, Worker]]:
    """Two processes of one service, as far as their keys go."""
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(2):
            app = create_app(own_settings)
            await stack.enter_async_context(app.lifespan())
            client = await stack.enter_async_context(asgi_client(app))
            security = app.plugins.get(SecurityPlugin)
            made.append(
                Worker(
                    Api(client),
                    security,
                    World(app.state.database, security.tokens, "none"),
                    app.plugins.get(SigningPlugin).watch,
                )
            )
        yield made[0], made[1]


def rotated(settings: Settings, starts: datetime, algorithm: Algorithm = "EdDSA") -> str:
    return add_key(settings, Vault.from_settings(settings), algorithm, starts)


def kid(account: Account) -> str:
    return str(jwt.get_unverified_header(account.token)["kid"])


def with_public_key_as_secret(token: str, secret: bytes) -> str:
    """By hand: the library would not let a key be mistaken for a secret."""
    head, claims, _ = token.split(".")
    header = json.loads(base64.urlsafe_b64decode(head + "=="))
    parts = [encoded(json.dumps({**header, "alg": "HS256"}).encode()), claims]
    return ".".join([*parts, encoded(hmac.digest(secret, ".".join(parts).encode(), "sha256"))])


def encoded(plain: bytes) -> str:
    return base64.urlsafe_b64encode(plain).decode().rstrip("=")


@pytest.mark.asvs("11.1.1", "11.2.2")
async def test_rotation_signs_nobody_out(own_settings: Settings, workers: tuple[Worker, Worker]) -> None:
    """A new key is published before it signs; old tokens are good until they expire, and then their key retires."""
    worker, other = workers
    first, start = worker.security.tokens.keys.own.id, now()
    second = rotated(own_settings, start + PUBLISHED_BEFORE)
    for each in workers:
        await each.looks()
    before, soon = await other.published(), await worker.world.account()
    with frozen_at(start + PUBLISHED_BEFORE - timedelta(seconds=5)):
        last_of_old = await worker.world.account()
    with frozen_at(start + PUBLISHED_BEFORE):
        first_of_new = await worker.world.account()
        both = [await other.api.as_(each).get("/auth/sessions") for each in (last_of_old, first_of_new)]
    with frozen_at(start + PUBLISHED_BEFORE + LONGEST_TOKEN):
        after = await other.published()

    assert {first, second} == set(before)
    assert [first, first, second] == [kid(soon), kid(last_of_old), kid(first_of_new)]
    assert [200, 200] == [each.status_code for each in both]
    assert [second] == after


async def test_unknown_key_is_looked_for_at_once(own_settings: Settings, workers: tuple[Worker, Worker]) -> None:
    """A worker takes a token of a key that it has not seen yet; a flood of invented ids asks the database once."""
    worker, other = workers
    rotated(own_settings, now())
    await worker.looks()
    ada = await worker.world.account()
    other.forget_when_it_looked()
    accepted = await other.api.as_(ada).get("/auth/sessions")
    loads = other.watch.loads
    other.forget_when_it_looked()
    claims = jwt.decode(ada.token, options={"verify_signature": False})
    invented = [jwt.encode(claims, "x" * 32, "HS256", headers={"kid": f"invented-{n}"}) for n in range(50)]
    answers = await asyncio.gather(*(other.api.bearing(token).get("/auth/sessions") for token in invented))

    assert 200 == accepted.status_code
    assert {401} == {answer.status_code for answer in answers}
    assert loads + 1 == other.watch.loads


async def test_withdrawn_key(own_settings: Settings, workers: tuple[Worker, Worker]) -> None:
    """What a withdrawn key has signed is refused, even where it was accepted and is remembered."""
    worker, _ = workers
    lost = rotated(own_settings, now())
    await worker.looks()
    ada = await worker.world.account()
    accepted = await worker.api.as_(ada).get("/auth/sessions")
    rotated(own_settings, now())
    withdraw_key(own_settings, lost)
    await worker.looks()
    refused = await worker.api.as_(ada).get("/auth/sessions")
    again = await worker.world.account()

    assert (lost, 200) == (kid(ada), accepted.status_code)
    assert problem(401, "invalid_token") == refused
    assert lost not in (kid(again), *await worker.published())


@pytest.mark.asvs("9.1.2", "11.2.3")
@pytest.mark.parametrize("algorithm", ["EdDSA", "RS256", "ES256"])
async def test_the_key_fixes_the_algorithm(
    own_settings: Settings, workers: tuple[Worker, Worker], algorithm: Algorithm
) -> None:
    """Others check a token by the published keys; one that names another algorithm than its key's is refused."""
    worker, _ = workers
    made = rotated(own_settings, now(), algorithm)
    await worker.looks()
    ada = await worker.world.account()
    answer = await worker.api.client.get("/.well-known/jwks.json")
    key = jwt.PyJWKSet.from_dict(answer.json())[made]
    header = jwt.get_unverified_header(ada.token)
    jwt.decode(ada.token, key, audience="tenantry", algorithms=[algorithm])
    confused = with_public_key_as_secret(ada.token, public_bytes(worker.security.tokens.keys.find(made).public))

    assert (algorithm, made) == (header["alg"], header["kid"])
    assert 200 == (await worker.api.as_(ada).get("/auth/sessions")).status_code
    assert problem(401, "invalid_token") == await worker.api.bearing(confused).get("/auth/sessions")
    assert "public, max-age=300" == answer.headers["cache-control"]
    assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & {name for each in answer.json()["keys"] for name in each}


@pytest.mark.asvs("11.3.2", "11.3.3")
async def test_stored_keys_are_sealed(
    own_settings: Settings, urls: DatabaseUrls, workers: tuple[Worker, Worker]
) -> None:
    """The private part is of no use without the key of the environment: without it the old key goes on signing."""
    worker, _ = workers
    made = rotated(own_settings, now())
    await worker.looks()
    private = worker.security.tokens.keys.find(made).private
    assert private is not None
    plain = private.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with psycopg.connect(urls.conninfo) as connection:
        (row,) = connection.execute("SELECT sealed_key FROM signing_keys").fetchall()
    worker.watch.vault = Vault([b"another".ljust(32)])
    await worker.looks()
    ada = await worker.world.account()

    assert plain[-32:] not in bytes(row[0])
    assert worker.security.tokens.keys.own.id == kid(ada)


async def test_service_cannot_plant_a_key(own_settings: Settings, urls: DatabaseUrls) -> None:
    """The role of the service reads keys, and neither makes, changes nor removes one."""
    rotated(own_settings, now())
    refused = []
    acts: tuple[Any, ...] = (
        "INSERT INTO signing_keys SELECT * FROM signing_keys", "UPDATE signing_keys SET withdrawn_at = now()",
        "DELETE FROM signing_keys",
    )  # fmt: skip
    for act in acts:
        with psycopg.connect(urls.runtime.replace("+psycopg", "")) as connection:
            try:
                connection.execute(act)
            except psycopg.errors.InsufficientPrivilege:
                refused.append(act)

    assert [*acts] == refused
