"""When the parameters of the hashing change, the hashes follow with each log-in."""

import msgspec
import pytest
from litestar import Litestar
from sqlalchemy import text

from tenantry.config import Settings
from tenantry.db.database import Database
from tenantry.security.passwords import PasswordService
from tenantry.security.plugin import SecurityPlugin
from tenantry.testing import Account, Api, World

STORED = text("SELECT password_hash FROM users WHERE id = :id")
STORE = text("UPDATE users SET password_hash = :password_hash WHERE id = :id")


async def stored(database: Database, account: Account) -> str:
    async with database.transaction() as unit_of_work:
        return str(await unit_of_work.scalar(STORED, {"id": account.id}))


def parameters(hashed: str) -> str:
    return hashed.rsplit("$", 2)[0]


@pytest.mark.asvs("11.2.2", "11.4.2")
async def test_log_in_renews_the_hash(
    api: Api, world: World, database: Database, settings: Settings, app: Litestar
) -> None:
    """A hash has the parameters of the settings, OWASP's where none are set, from the next log-in on."""
    ada = await world.account()
    cheaper = PasswordService(msgspec.structs.replace(settings, password_hash_memory_kib=8192), threads=1)
    old = await cheaper.hash(ada.password)
    cheaper.close()
    async with database.transaction() as unit_of_work:
        await unit_of_work.execute(STORE, {"id": ada.id, "password_hash": old})

    login = {"email": ada.email, "password": ada.password}
    wrong = await api.post("/auth/login", json=login | {"password": "wrong"})
    after_wrong = await stored(database, ada)
    right = await api.post("/auth/login", json=login)
    renewed = await stored(database, ada)
    again = await api.post("/auth/login", json=login)

    assert (401, 200, 200) == (wrong.status_code, right.status_code, again.status_code)
    assert ("$argon2id$v=19$m=8192,t=2,p=1", old) == (parameters(old), after_wrong)
    assert "$argon2id$v=19$m=19456,t=2,p=1" == parameters(renewed)
    assert renewed == await stored(database, ada)
    assert not app.plugins.get(SecurityPlugin).passwords.needs_rehash(renewed)
