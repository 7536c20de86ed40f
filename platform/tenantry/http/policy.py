"""The policy of a route, and the gate that enforces it.

    @get(opt=allow(READ))                           a member of the active tenant with this permission
    @post(opt=signed_in())                          anyone with a live session
    @post(opt=public("how an account begins"))      anyone; the reason is for the reader

The gate authenticates without I/O, then opens the unit of work with the question whether all of it holds now,
and commits before the response starts: a commit that fails is an error answer, never a success.
"""

from typing import Any

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from tenantry.context import bind_actor, bind_effect
from tenantry.db.session import Database, UnitOfWork
from tenantry.errors import Unauthenticated
from tenantry.http.problems import send_problem
from tenantry.security.permissions import Permission
from tenantry.security.principal import CredentialVerifier, Principal

__all__ = ("Allow", "Policy", "Public", "SignedIn", "allow", "gate", "policy_of", "public", "signed_in")

OPT_KEY = "policy"


class Allow(msgspec.Struct, frozen=True):
    permission: Permission
    audit: str | None = None
    """Name of what has happened when the route succeeds; its access line carries it as `effect`."""


class SignedIn(msgspec.Struct, frozen=True):
    audit: str | None = None


class Public(msgspec.Struct, frozen=True):
    reason: str


Policy = Allow | SignedIn | Public


def allow(permission: Permission, *, audit: str | None = None) -> dict[str, Policy]:
    return {OPT_KEY: Allow(permission, audit)}


def signed_in(*, audit: str | None = None) -> dict[str, Policy]:
    return {OPT_KEY: SignedIn(audit)}


def public(reason: str) -> dict[str, Policy]:
    return {OPT_KEY: Public(reason)}


def policy_of(handler: Any) -> Policy | None:
    """The policy that the handler itself declares; one of its controller would be inherited in silence."""
    return handler.opt.get(OPT_KEY)  # type: ignore[no-any-return]  # handlers are untyped in their `opt`


class Gate:
    """The innermost middleware of every route."""

    def __init__(self, app: ASGIApp, verifier: CredentialVerifier) -> None:
        self.app = app
        self.verifier = verifier

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
            return
        database: Database = scope["litestar_app"].state.database
        policy = policy_of(scope["route_handler"])
        unit_of_work = database.unit_of_work()
        scope["state"]["unit_of_work"] = unit_of_work
        try:
            if isinstance(policy, Allow | SignedIn):
                principal = scope["user"] = self._authenticate(scope)
                bind_actor(actor=principal.user_id, tenant=principal.tenant_id)
                permission = policy.permission.name if isinstance(policy, Allow) else None
                await unit_of_work.begin_request(principal, permission)
            effect = policy.audit if isinstance(policy, Allow | SignedIn) else None
            await self.app(scope, receive, commit_before_response(unit_of_work, effect, scope, receive, send))
        finally:
            await unit_of_work.close()

    def _authenticate(self, scope: Scope) -> Principal:
        header = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        kind, _, credential = header.decode("latin-1").partition(" ")
        if kind.lower() != "bearer" or not credential.strip():
            raise Unauthenticated
        return self.verifier.verify(credential.strip())


def gate(verifier: CredentialVerifier) -> Any:
    """The middleware, for a list of middlewares."""

    def make(app: ASGIApp) -> Gate:
        return Gate(app, verifier)

    return make


def commit_before_response(
    unit_of_work: UnitOfWork, effect: str | None, scope: Scope, receive: Receive, send: Send
) -> Send:
    """`send` that ends the unit of work as the status of the response says, before any byte of it leaves."""
    answered_otherwise = False

    async def ending_send(message: Message) -> None:
        nonlocal answered_otherwise
        if answered_otherwise:
            return
        if message["type"] == "http.response.start":
            try:
                if message["status"] < 400:
                    await unit_of_work.commit()
                    bind_effect(effect)
                else:
                    await unit_of_work.close()
            except Exception as error:
                # Litestar already counts the response as started and would drop an exception from here.
                answered_otherwise = True
                await send_problem(error, scope, receive, send)
                return
        await send(message)

    return ending_send
