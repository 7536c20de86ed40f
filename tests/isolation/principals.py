"""Everyone who may try an operation, and what the policy that it declares lets the database answer."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text

from tenantry.clock import frozen_at, now
from tenantry.db.denials import DENIALS
from tenantry.errors import Unauthenticated
from tenantry.feature import slice_modules
from tenantry.http.policy import Policy, Public, SignedIn
from tenantry.http.visit import SessionRequired
from tenantry.ids import new_id
from tenantry.security.api_keys import new_key
from tenantry.security.browser import CsrfFailed
from tenantry.security.permissions import Role, declared_permissions
from tenantry.security.principal import Principal
from tenantry.security.tokens import CLOCK_SKEW_SECONDS, InvalidToken
from tenantry.testing import Key, TenantHandle, World
from tests.isolation.cookies import Header, cookie, cookie_and_token, cookie_with_a_key

__all__ = (
    "DEMOTE",
    "DISABLE",
    "EXPIRE",
    "NARROW",
    "PRINCIPALS",
    "REFUSALS",
    "REMOVE",
    "REVOKE",
    "SUSPEND",
    "Caller",
    "Refusal",
    "Stage",
    "expected",
)

REFUSALS = DENIALS.keys() | {CsrfFailed.code, Unauthenticated.code, InvalidToken.code, SessionRequired.code}
"""What only the gate answers, before any code of a slice has run."""


class Refusal(NamedTuple):
    status: int
    code: str


@dataclass(frozen=True)
class Stage:
    """A tenant of its own for each attempt that gets through, so that none spoils the next."""

    world: World
    tenant: TenantHandle

    def claiming(self, **changes: Any) -> str:
        """A token with the owner's claims but for these."""
        owner = self.tenant.owner
        claims: dict[str, Any] = {"subject_id": owner.id, "session_id": owner.session_id, "tenant_id": self.tenant.id}
        claims["authenticated_at"] = now()
        return self.world.tokens.issue(Principal(**(claims | changes)))

    async def key(self, role: Role = Role.owner) -> Key:
        """Of the person in this role, with every scope that there is."""
        return await self.tenant.key(self.tenant.accounts[role].id, SCOPES)

    async def credential(self, statement: str) -> str:
        """The owner's: where the statement changes API keys, one of theirs, else their token."""
        return (await self.key()).text if "api_keys" in statement else self.tenant.owner.token

    async def run(self, statement: str) -> None:
        if "memberships" in statement:
            # The owner can go, and become less, only where another is left.
            await self.tenant.admit(await self.world.account("heir"), Role.owner)
        values = {"user": self.tenant.owner.id, "session": self.tenant.owner.session_id, "tenant": self.tenant.id}
        wanted = {name: value for name, value in values.items() if f":{name}" in statement}
        await self.tenant.run(text(statement).bindparams(**wanted))


class Caller(NamedTuple):
    header: Callable[[Stage], Awaitable[Header]]
    signed_in: Refusal | None = None
    """Of routes that ask for a session only."""
    allowed: Refusal | None = None
    """Of routes that ask for a permission, whoever has it."""
    role: Role | None = None
    """What the caller is in the tenant, where that decides."""
    unsafe: Refusal | None = None
    """Of all that changes something, before anything else is looked at."""


def expected(policy: Policy, caller: Caller, method: str = "GET") -> Refusal | None:
    """None where the gate lets the caller through."""
    if isinstance(policy, Public):
        return None
    if caller.unsafe is not None and method != "GET":
        return caller.unsafe
    if isinstance(policy, SignedIn):
        return None if policy.confined and caller.signed_in == CONFINED else caller.signed_in
    if policy.fresh_auth is True and caller.signed_in == PERSONAL:
        return PERSONAL
    if caller.role is not None and caller.role < policy.permission.least_role:
        return Refusal(403, "permission_missing")
    return caller.allowed


def fixed(header: Header) -> Callable[[Stage], Awaitable[Header]]:
    async def make(_: Stage) -> Header:
        return header

    return make


def holder(role: Role) -> Callable[[Stage], Awaitable[Header]]:
    async def make(stage: Stage) -> Header:
        return f"Bearer {stage.tenant.accounts[role].token}"

    return make


def claiming(**changes: Callable[[], Any]) -> Callable[[Stage], Awaitable[Header]]:
    async def make(stage: Stage) -> Header:
        return f"Bearer {stage.claiming(**{name: change() for name, change in changes.items()})}"

    return make


def after(statement: str) -> Callable[[Stage], Awaitable[Header]]:
    """The owner's token, issued before the statement ran."""

    async def make(stage: Stage) -> Header:
        await stage.run(statement)
        return f"Bearer {stage.tenant.owner.token}"

    return make


async def expired(stage: Stage) -> Header:
    with frozen_at(now() - stage.world.tokens.lifetime - timedelta(seconds=CLOCK_SKEW_SECONDS + 1)):
        return f"Bearer {stage.claiming()}"


async def of_another_key(stage: Stage) -> Header:
    """It names our key all the same: the signature alone is wrong."""
    token = stage.claiming()
    claims, header = jwt.decode(token, options={"verify_signature": False}), jwt.get_unverified_header(token)
    return f"Bearer {jwt.encode(claims, Ed25519PrivateKey.generate(), 'EdDSA', headers=header)}"


async def unsigned(stage: Stage) -> Header:
    token = stage.claiming()
    claims = jwt.decode(token, options={"verify_signature": False})
    return f"Bearer {jwt.encode(claims, '', 'none', headers={'typ': 'at+jwt'})}"


async def of_a_foreign_tenant(stage: Stage) -> Header:
    return f"Bearer {stage.claiming(tenant_id=(await stage.world.tenant('initech')).id)}"


def key_of(role: Role) -> Callable[[Stage], Awaitable[Header]]:
    async def make(stage: Stage) -> Header:
        return f"Bearer {(await stage.key(role)).text}"

    return make


def key_after(statement: str) -> Callable[[Stage], Awaitable[Header]]:
    """The owner's key, of before the statement ran."""

    async def make(stage: Stage) -> Header:
        key = await stage.key()
        await stage.run(statement)
        return f"Bearer {key.text}"

    return make


async def key_that_never_was(stage: Stage) -> Header:
    return f"Bearer {new_key(stage.tenant.id, stage.tenant.owner.id, new_id()).text}"


async def key_with_another_secret(stage: Stage) -> Header:
    """Well-formed, and of a key that is there."""
    return f"Bearer {new_key(stage.tenant.id, stage.tenant.owner.id, (await stage.key()).id).text}"


async def key_with_a_typing_error(stage: Stage) -> Header:
    text = (await stage.key()).text
    return f"Bearer {text[:-1]}{'A' if text[-1] != 'A' else 'B'}"


async def key_of_a_foreign_tenant(stage: Stage) -> Header:
    """It names this tenant, and a key of the other."""
    foreign = await Stage(stage.world, await stage.world.tenant("initech")).key()
    return f"Bearer {new_key(stage.tenant.id, stage.tenant.owner.id, foreign.id).text}"


def token_of_a_key(role: Role, statement: str | None = None) -> Callable[[Stage], Awaitable[Header]]:
    """Of a service account, issued before the statement ran."""

    async def make(stage: Stage) -> Header:
        account = await stage.tenant.service_account(role)
        key = await stage.tenant.key(account, SCOPES)
        if statement is not None:
            await stage.tenant.run(text(statement).bindparams(account=account))
        return f"Bearer {stage.world.tokens.issue(key.principal)}"

    return make


ANONYMOUS, INVALID = Refusal(401, "unauthenticated"), Refusal(401, "invalid_token")
ENDED, DISABLED = Refusal(401, "session_ended"), Refusal(401, "account_disabled")
STRANGER = Refusal(403, "not_a_member")
PERSONAL = Refusal(403, "session_required")
NO_KEY, REVOKED = Refusal(401, "invalid_api_key"), Refusal(401, "api_key_revoked")
FORGED = Refusal(403, "csrf_failed")
SUSPENDED = Refusal(403, "tenant_suspended")
CONFINED = Refusal(403, "session_confined")
SCOPES = sorted(each.name for each in declared_permissions(slice_modules("features", "permissions")))
DISABLE = "UPDATE users SET disabled_at = now() WHERE id = :user"
DEMOTE = "UPDATE memberships SET role = 'viewer' WHERE user_id = :user"
REMOVE = "DELETE FROM memberships WHERE user_id = :user"
CONFINE = "UPDATE sessions SET only_tenant_id = {} WHERE id = :session"
SUSPEND = "UPDATE tenants SET status = 'suspended' WHERE id = :tenant"
REVOKE = "UPDATE api_keys SET revoked_at = now() WHERE subject_id = :user"
EXPIRE = "UPDATE api_keys SET expires_at = now() WHERE subject_id = :user"
NARROW = "UPDATE api_keys SET scopes = '{}' WHERE subject_id = :user"

FATES_OF_A_SERVICE_ACCOUNT = {
    "key revoked": ("UPDATE api_keys SET revoked_at = now() WHERE subject_id = :account", REVOKED),
    "key gone": ("DELETE FROM api_keys WHERE subject_id = :account", NO_KEY),
    "account deleted": ("DELETE FROM service_accounts WHERE id = :account", NO_KEY),
    "removed from the tenant": ("DELETE FROM memberships WHERE subject_id = :account", NO_KEY),
}
PRINCIPALS = {
    "anonymous": Caller(fixed(None), ANONYMOUS, ANONYMOUS),
    "empty credential": Caller(fixed("Bearer "), ANONYMOUS, ANONYMOUS),
    "password in the header": Caller(fixed("Basic YWRhOnNlY3JldA=="), ANONYMOUS, ANONYMOUS),
    "garbage token": Caller(fixed("Bearer e30.e30.e30"), INVALID, INVALID),
    "expired token": Caller(expired, INVALID, INVALID),
    "token of another key": Caller(of_another_key, INVALID, INVALID),
    "unsigned token": Caller(unsigned, INVALID, INVALID),
    "session that never was": Caller(claiming(session_id=new_id), ENDED, ENDED),
    "ended session": Caller(after("UPDATE sessions SET ended_at = now() WHERE id = :session"), ENDED, ENDED),
    "expired session": Caller(after("UPDATE sessions SET expires_at = now() WHERE id = :session"), ENDED, ENDED),
    "disabled user": Caller(after(DISABLE), DISABLED, DISABLED),
    "token without tenant": Caller(claiming(tenant_id=lambda: None), None, Refusal(403, "tenant_required")),
    "tenant that never was": Caller(claiming(tenant_id=new_id), None, STRANGER),
    "foreign tenant": Caller(of_a_foreign_tenant, None, STRANGER),
    "removed member": Caller(after(REMOVE), None, STRANGER),
    "suspended tenant": Caller(after(SUSPEND), None, SUSPENDED),
    "demoted owner": Caller(after(DEMOTE), None, None, Role.viewer),
    **{role.name: Caller(holder(role), None, None, role) for role in Role},
    "session of its provider": Caller(after(CONFINE.format(":tenant")), CONFINED, None, Role.owner),
    "session of another's provider": Caller(after(CONFINE.format("gen_random_uuid()")), CONFINED, CONFINED),
    "cookie of a member": Caller(cookie(), None, None, Role.member),
    "cookie without the token": Caller(cookie(shows_token=False), None, None, Role.member, FORGED),
    "cookie for a page elsewhere": Caller(cookie(origin="https://evil.example"), None, None, Role.member, FORGED),
    "cookie for a page of a neighbour": Caller(cookie(site="same-site"), None, None, Role.member, FORGED),
    "cookie from nowhere": Caller(cookie(origin=""), None, None, Role.member, FORGED),
    "cookie with a key": Caller(cookie_with_a_key, ANONYMOUS, ANONYMOUS),
    "cookie and token": Caller(cookie_and_token, ANONYMOUS, ANONYMOUS),
    "key with a typing error": Caller(key_with_a_typing_error, NO_KEY, NO_KEY),
    "key that never was": Caller(key_that_never_was, PERSONAL, NO_KEY),
    "key with another secret": Caller(key_with_another_secret, PERSONAL, NO_KEY),
    "key of a foreign tenant": Caller(key_of_a_foreign_tenant, PERSONAL, NO_KEY),
    "key of a removed member": Caller(key_after(REMOVE), PERSONAL, NO_KEY),
    "key of a disabled user": Caller(key_after(DISABLE), PERSONAL, DISABLED),
    "key of a suspended tenant": Caller(key_after(SUSPEND), PERSONAL, SUSPENDED),
    "key of a demoted owner": Caller(key_after(DEMOTE), PERSONAL, None, Role.viewer),
    "revoked key": Caller(key_after(REVOKE), PERSONAL, REVOKED),
    "expired key": Caller(key_after(EXPIRE), PERSONAL, Refusal(401, "api_key_expired")),
    "key without the scope": Caller(key_after(NARROW), PERSONAL, Refusal(403, "scope_missing")),
    **{f"key of {role.name}": Caller(key_of(role), PERSONAL, None, role) for role in Role},
    **{
        f"token of a service account, {role.name}": Caller(token_of_a_key(role), PERSONAL, None, role)
        for role in Role
        if role is not Role.owner
    },
    **{
        f"service account's token, {fate}": Caller(token_of_a_key(Role.admin, statement), PERSONAL, refusal)
        for fate, (statement, refusal) in FATES_OF_A_SERVICE_ACCOUNT.items()
    },
}
