"""Somebody with an authenticator app, as the slices' tests need them."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import httpx
import pyotp

from tenantry.clock import now
from tenantry.testing import Account, Api

__all__ = ("Phone", "challenge_of", "enrolled", "enter", "log_in", "verify")


@dataclass
class Phone:
    """An authenticator app and the recovery codes that were written down."""

    secret: str
    recovery_codes: list[str]

    def code(self, at: datetime | None = None) -> str:
        return pyotp.TOTP(self.secret).at(at or now())

    def wrong_code(self) -> str:
        """Of six digits, and of no moment around now."""
        near = {self.code(now() + timedelta(seconds=30 * steps)) for steps in range(-2, 3)}
        return next(code for code in map("{:06d}".format, range(1_000_000)) if code not in near)


async def enrolled(api: Api, account: Account) -> Phone:
    """Confirmed with the code of now, which is used then."""
    enrolment = (await api.as_(account).post("/auth/mfa/totp")).json()
    phone = Phone(enrolment["secret"], [])
    confirmed = await api.as_(account).post("/auth/mfa/totp/confirm", json={"code": phone.code()})
    assert 200 == confirmed.status_code, confirmed.text
    return replace(phone, recovery_codes=confirmed.json()["recovery_codes"])


async def log_in(api: Api, account: Account, **more: Any) -> httpx.Response:
    return await api.post("/auth/login", json={"email": account.email, "password": account.password, **more})


async def challenge_of(api: Api, account: Account) -> str:
    refused = await log_in(api, account)
    assert 401 == refused.status_code, refused.text
    return str(refused.json()["challenge"])


async def enter(api: Api, account: Account, code: str) -> dict[str, Any]:
    """Both steps of a log-in."""
    entered = await verify(api, await challenge_of(api, account), code)
    assert 200 == entered.status_code, entered.text
    tokens: dict[str, Any] = entered.json()
    return tokens


async def verify(api: Api, challenge: str, code: str) -> httpx.Response:
    return await api.post("/auth/mfa/verify", json={"challenge": challenge, "code": code})
