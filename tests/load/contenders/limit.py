"""The limit of one query per round trip, (2c): Litestar and asyncpg with everything left out that can be.

Verified tokens and memberships come from caches, connections are held and never reset, statements stay prepared,
rows become Structs by position. No row-level security, no log, no metrics. With `POOL` the connections come from
asyncpg's own pool, whose reset does nothing: (2c) to the letter.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import jwt
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from litestar import Litestar, Request, Router, get, patch, post
from litestar.datastructures import State
from litestar.exceptions import ClientException, NotAuthorizedException, NotFoundException, PermissionDeniedException
from litestar.params import FromPath, JSONBody, QueryParameter
from uuid_utils.compat import uuid7

from tests.load.contenders.projects import (
    GET,
    INSERT,
    LIST,
    LIST_AFTER,
    UPDATE,
    Page,
    Project,
    ProjectCreate,
    ProjectPatch,
    page_of,
    position,
    setting,
)

Incoming = Request[None, None, State]
STATEMENTS = GET, LIST, LIST_AFTER, INSERT, UPDATE
CONNECTIONS = 16
REMEMBERED, REMEMBERED_SECONDS = 10_000, 30.0
MEMBERSHIP = "SELECT role FROM memberships WHERE tenant_id = $1 AND user_id = $2"
WRITERS = {"member", "admin", "owner"}


class Connections:
    """Held ones, the last used first; each is the statements that it has prepared, by their text."""

    def __init__(self) -> None:
        self._idle: asyncio.LifoQueue[dict[str, Any]] = asyncio.LifoQueue()
        self._all: list[Any] = []

    async def open(self) -> None:
        for _ in range(CONNECTIONS):
            connection = await asyncpg.connect(setting("DATABASE_URL"))
            self._all.append(connection)
            self._idle.put_nowait({text: await connection.prepare(text) for text in (*STATEMENTS, MEMBERSHIP)})

    async def close(self) -> None:
        for connection in self._all:
            await connection.close()

    async def row(self, statement: str, *values: Any) -> Any:
        connection = await self._idle.get()
        try:
            return await connection[statement].fetchrow(*values)
        finally:
            self._idle.put_nowait(connection)

    async def rows(self, statement: str, *values: Any) -> Any:
        connection = await self._idle.get()
        try:
            return await connection[statement].fetch(*values)
        finally:
            self._idle.put_nowait(connection)


class Pool:
    """asyncpg's own, which gives connections back as they are."""

    async def open(self) -> None:
        self._pool = await asyncpg.create_pool(
            setting("DATABASE_URL"), min_size=CONNECTIONS, max_size=CONNECTIONS, reset=leave_as_it_is
        )

    async def close(self) -> None:
        await self._pool.close()

    async def row(self, statement: str, *values: Any) -> Any:
        async with self._pool.acquire() as connection:
            return await connection.fetchrow(statement, *values)

    async def rows(self, statement: str, *values: Any) -> Any:
        async with self._pool.acquire() as connection:
            return await connection.fetch(statement, *values)


async def leave_as_it_is(_: Any) -> None:
    """In place of four statements after each use."""


connections: Connections | Pool = Pool() if "BENCHMARK_POOL" in os.environ else Connections()


class Callers:
    """Who is behind a token, and whether they belong to its tenant, as of at most `REMEMBERED_SECONDS` ago."""

    def __init__(self) -> None:
        self.key: Any = load_pem_public_key(setting("PUBLIC_KEY").encode())
        self.issuer = setting("ISSUER")
        self.tokens: dict[str, tuple[float, UUID, UUID]] = {}
        self.roles: dict[tuple[UUID, UUID], tuple[float, str | None]] = {}

    async def tenant(self, request: Incoming, *, writes: bool = False) -> UUID:
        moment = time.time()
        header = request.headers.get("authorization", "")
        token = self.tokens.get(header) or self._verified(header)
        expires, tenant_id, user_id = token
        if moment >= expires:
            raise NotAuthorizedException
        known = self.roles.get((tenant_id, user_id))
        if known is None or moment >= known[0]:
            record = await connections.row(MEMBERSHIP, tenant_id, user_id)
            known = moment + REMEMBERED_SECONDS, record[0] if record else None
            self.roles[tenant_id, user_id] = known
        if known[1] is None or (writes and known[1] not in WRITERS):
            raise PermissionDeniedException
        return tenant_id

    def _verified(self, header: str) -> tuple[float, UUID, UUID]:
        try:
            claims = jwt.decode(
                header.removeprefix("Bearer "), self.key, algorithms=["EdDSA"], audience="tenantry", issuer=self.issuer
            )
        except jwt.PyJWTError as error:
            raise NotAuthorizedException from error
        if len(self.tokens) >= REMEMBERED:
            self.tokens.clear()
            self.roles.clear()
        token = self.tokens[header] = claims["exp"], UUID(claims["tid"]), UUID(claims["sub"])
        return token


callers = Callers()


@get("/projects/{project_id:uuid}")
async def get_project(request: Incoming, project_id: FromPath[UUID]) -> Project:
    record = await connections.row(GET, await callers.tenant(request), project_id)
    if record is None:
        raise NotFoundException
    return Project(*record)


@get("/projects")
async def list_projects(
    request: Incoming,
    limit: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, QueryParameter(max_length=1024)] = None,
) -> Page:
    tenant_id = await callers.tenant(request)
    if cursor:
        return page_of(await connections.rows(LIST_AFTER, tenant_id, limit + 1, *position(cursor)), limit)
    return page_of(await connections.rows(LIST, tenant_id, limit + 1), limit)


@post("/projects")
async def create_project(request: Incoming, data: JSONBody[ProjectCreate]) -> Project:
    tenant_id = await callers.tenant(request, writes=True)
    record = await connections.row(INSERT, tenant_id, uuid7(), data.name, data.description, datetime.now(UTC))
    return Project(*record)


@patch("/projects/{project_id:uuid}")
async def change_project(request: Incoming, project_id: FromPath[UUID], data: JSONBody[ProjectPatch]) -> Project:
    tenant_id = await callers.tenant(request, writes=True)
    record = await connections.row(UPDATE, tenant_id, project_id, *data.values(), datetime.now(UTC))
    if record is None:
        raise ClientException(status_code=409)
    return Project(*record)


@get("/health/live")
async def live() -> dict[str, str]:
    return {"status": "ok"}


@asynccontextmanager
async def connected(_: Litestar) -> AsyncIterator[None]:
    await connections.open()
    yield
    await connections.close()


projects = Router("/api/v1", route_handlers=[get_project, list_projects, create_project, change_project])
app = Litestar([projects, live], lifespan=[connected], openapi_config=None)
