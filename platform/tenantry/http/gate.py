"""The gate before every route: enforces its policy, and opens and ends its unit of work."""

from litestar import Litestar, Request
from litestar.config.app import AppConfig
from litestar.datastructures import State
from litestar.di import Provide
from litestar.enums import ScopeType
from litestar.plugins import InitPlugin
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from sqlalchemy import text

from tenantry.context import bind_actor, bind_effect, enter_tenant
from tenantry.db.session import Database, UnitOfWork
from tenantry.errors import Unauthenticated
from tenantry.http.policy import Allow, SignedIn, policy_of
from tenantry.http.problems import send_problem
from tenantry.http.request import ApiRequest
from tenantry.readiness import NotReady, Readiness
from tenantry.security.principal import CredentialVerifier, Principal

__all__ = ("GatePlugin",)


class GatePlugin(InitPlugin):
    """Puts the gate before every route, and watches that the database knows the permissions they ask for."""

    def __init__(self, verifier: CredentialVerifier, readiness: Readiness) -> None:
        self.verifier = verifier
        readiness.add("permissions", self._check_permissions)

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        app_config.middleware.append(self._gate)
        app_config.dependencies["principal"] = Provide(principal_of, sync_to_thread=False)
        app_config.on_startup.append(self._start)
        return app_config

    def _gate(self, app: ASGIApp) -> "Gate":
        return Gate(app, self.verifier)

    def _start(self, app: Litestar) -> None:
        self.app = app
        policies = [policy_of(handler) for route in app.routes for handler in getattr(route, "route_handlers", ())]
        self.permissions = {policy.permission.name for policy in policies if isinstance(policy, Allow)}

    async def _check_permissions(self) -> str:
        """A permission that no role has in the database would be a 403 for everybody."""
        database: Database = self.app.state.database
        async with database.transaction() as unit_of_work:
            rows = await unit_of_work.rows(text("SELECT DISTINCT permission FROM role_permissions"))
        if missing := self.permissions - {row.permission for row in rows}:
            raise NotReady(f"unknown to the database: {', '.join(sorted(missing))}: run `tenantry database upgrade`")
        return f"{len(self.permissions)} known"


def principal_of(request: Request[Principal, object, State]) -> Principal:
    """Who makes the request; only for routes that are not public."""
    return request.user


class Gate:
    """The innermost middleware of every route.

    It authenticates without I/O, then opens the unit of work with the question whether all of it holds now, and
    commits before the response starts: a commit that fails is an error answer, never a success.
    """

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
                if "data" in scope["route_handler"].parsed_fn_signature.parameters:
                    # Before the transaction begins: a client that sends slowly must not hold a connection.
                    await ApiRequest(scope, receive, send).body()
                permission = policy.permission.name if isinstance(policy, Allow) else None
                await unit_of_work.begin_request(principal, permission)
                enter_tenant(unit_of_work.tenant_id)
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
