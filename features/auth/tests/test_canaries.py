"""No secret of a person or a program reaches the log."""

import asyncio
import secrets
from typing import Any

import httpx
from sqlalchemy import text

from tenantry.config import Settings
from tenantry.db.database import Database
from tenantry.security.passwords import PasswordService
from tenantry.security.permissions import Role
from tenantry.testing import Api, World
from tenantry.testing.service import LiveService


async def flow(api: Api, email: str, password: str, key: tuple[str, str]) -> dict[str, str]:
    """Right and wrong, by every way in; the secrets that it met."""

    async def post(path: str, credential: str = "", **options: Any) -> dict[str, Any]:
        answer = await (api.bearing(credential) if credential else api).post(path, **options)
        found: dict[str, Any] = answer.json() if answer.content else {}
        return found

    login = {"email": email, "password": password}
    first = await post("/auth/login", json=login)
    form = {"grant_type": "password", "username": email, "password": password}
    second = await post("/auth/token", data=form)
    client = {"grant_type": "client_credentials", "client_id": key[0], "client_secret": key[1]}
    program = await post("/auth/token", data=client)
    again = await post("/auth/reauthenticate", first["access_token"], json={"password": password})
    renewed = await post("/auth/refresh", json={"refresh_token": first["refresh_token"]})
    wrong = {"email": email, "password": f"wrong-{password}"}
    await post("/auth/login", json=wrong)
    await post("/auth/login", json=[login])
    await post("/auth/login", content=f'{{"email": "{email}", "password": "{password}"')
    await post("/auth/refresh", json={"refresh_token": f"wrong-{first['refresh_token']}", "x": 1})
    await post(f"/auth/refresh?refresh_token={renewed['refresh_token']}")
    await post("/auth/token", data=client | {"client_secret": f"{key[1]}x"})
    await api.bearing(f"{renewed['access_token']}x").get("/auth/sessions")
    await api.bearing(key[1]).get("/tenants/current")
    await api.get("/auth/sessions", params={"access_token": renewed["access_token"], "api_key": key[1]})
    for path in (f"/auth/sessions/{renewed['refresh_token']}", f"/{password}"):
        await api.bearing(renewed["access_token"]).delete(path)
    met = {"login": first, "form": second, "client": program, "proof": again, "renewed": renewed}
    tokens = {
        f"{name} of {kind}": found[name]
        for kind, found in met.items()
        for name in ("access_token", "refresh_token")
        if name in found
    }
    return tokens | {"password": password, "key": key[1]}


async def log_with(service: LiveService, request_id: str) -> str:
    """The log, as soon as it has the line of this request: lines are written after the answer."""
    for _ in range(100):
        if request_id in (log := service.log.read_text()):
            return log
        await asyncio.sleep(0.05)
    raise AssertionError(f"no line of {request_id}")


async def test_canaries_are_not_logged(live_service: LiveService, world: World, database: Database) -> None:
    """Of passwords, tokens, keys and challenges, right or wrong, well or badly sent, nothing is in the log."""
    password = f"canary {secrets.token_hex(12)}"
    passwords = PasswordService(Settings())
    kept = World(database, world.tokens, await passwords.hash(password))
    passwords.close()
    tenant = await kept.tenant()
    key = await tenant.key(await tenant.service_account(Role.member), ["tenants:read"])
    ada = tenant.member
    async with httpx.AsyncClient(base_url=live_service.url, trust_env=False) as client:
        api = Api(client)
        canaries = await flow(api, ada.email, password, (str(key.principal.subject_id), key.text))
        async with database.transaction() as unit_of_work:
            second = text("UPDATE users SET second_factor_at = now() WHERE id = :id")
            await unit_of_work.execute(second.bindparams(id=ada.id))
        answer = await api.post("/auth/login", json={"email": ada.email, "password": password})
        canaries["challenge"] = answer.json()["challenge"]
        seen = str((await client.get("/health/live")).headers["x-request-id"])
    log = await log_with(live_service, seen)

    assert 11 <= len(canaries)
    assert [] == [name for name, canary in canaries.items() if canary in log or canary.split(".")[-1] in log]
    assert "login.refused" in log
    assert ada.email not in log
