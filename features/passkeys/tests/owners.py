"""People with a passkey, as the tests of this slice need them."""

from typing import Any

import httpx

from features.passkeys.tests.authenticator import Authenticator
from tenantry.config import Settings
from tenantry.testing import Account, Api

__all__ = ("challenge_of", "key_of", "log_in", "password_only", "register", "second_step")


def key_of(settings: Settings, **properties: Any) -> Authenticator:
    return Authenticator(settings.base_url, **properties)


async def register(api: Api, account: Account, key: Authenticator, name: str = "Phone") -> httpx.Response:
    begun = await api.as_(account).post("/auth/passkeys/options")
    assert 200 == begun.status_code, begun.text
    return await api.as_(account).post("/auth/passkeys", json={"credential": key.create(begun.json()), "name": name})


async def log_in(api: Api, key: Authenticator, **more: Any) -> httpx.Response:
    """By the passkey alone."""
    begun = (await api.post("/auth/passkeys/login/options")).json()
    return await api.post("/auth/passkeys/login/verify", json={"credential": key.get(begun), **more})


async def password_only(api: Api, account: Account) -> httpx.Response:
    return await api.post("/auth/login", json={"email": account.email, "password": account.password})


async def challenge_of(api: Api, account: Account) -> str:
    refused = await password_only(api, account)
    assert 401 == refused.status_code, refused.text
    return str(refused.json()["challenge"])


async def second_step(api: Api, challenge: str, key: Authenticator) -> httpx.Response:
    begun = (await api.post("/auth/mfa/passkey/options", json={"challenge": challenge})).json()
    return await api.post("/auth/mfa/passkey/verify", json={"challenge": challenge, "credential": key.get(begun)})
