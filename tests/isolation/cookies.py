"""How callers present themselves by cookie, as browsers would for pages of this service and of others."""

import hmac
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from tenantry.security.browser import ACCESS_COOKIE
from tenantry.security.permissions import Role

if TYPE_CHECKING:
    from tests.isolation.principals import Stage

__all__ = ("ORIGIN", "Header", "cookie", "cookie_and_token", "cookie_with_a_key")

Header = str | dict[str, str] | None
"""Of `Authorization`, or all of them."""
ORIGIN = "http://127.0.0.1:8000"


def cookie(
    *, shows_token: bool = True, origin: str = ORIGIN, site: str = ""
) -> "Callable[[Stage], Awaitable[dict[str, str]]]":
    """Of a member, as their browser sends it for a page of this origin."""

    async def make(stage: "Stage") -> dict[str, str]:
        member = stage.tenant.accounts[Role.member]
        key = stage.world.tokens.derived_key(b"tenantry browser csrf")
        token = {"X-CSRF-Token": hmac.digest(key, member.session_id.bytes, "sha256").hex()} if shows_token else {}
        return {"Cookie": f"a=b; {ACCESS_COOKIE}={member.token}", "Origin": origin, "Sec-Fetch-Site": site, **token}

    return make


async def cookie_with_a_key(stage: "Stage") -> dict[str, str]:
    return {"Cookie": f"{ACCESS_COOKIE}={(await stage.key()).text}", "Origin": ORIGIN}


async def cookie_and_token(stage: "Stage") -> dict[str, str]:
    return {**await cookie()(stage), "Authorization": f"Bearer {stage.tenant.owner.token}"}
