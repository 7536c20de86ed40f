"""Litestar and asyncpg by hand, without row-level security: (2) of the study that the targets come from.

Each request verifies its token, asks for the membership, and takes a connection from a pool that resets it.
"""

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
KEY: Any = load_pem_public_key(setting("PUBLIC_KEY").encode())
ISSUER = setting("ISSUER")
MEMBERSHIP = "SELECT role FROM memberships WHERE tenant_id = $1 AND user_id = $2"
WRITERS = {"member", "admin", "owner"}


@asynccontextmanager
async def authorized(request: Incoming, *, writes: bool = False) -> AsyncIterator[tuple[Any, UUID]]:
    """A connection, and the tenant of a caller who may do this there."""
    try:
        token = request.headers["authorization"].removeprefix("Bearer ")
        claims = jwt.decode(token, KEY, algorithms=["EdDSA"], audience="tenantry", issuer=ISSUER)
    except (KeyError, jwt.PyJWTError) as error:
        raise NotAuthorizedException from error
    tenant_id = UUID(claims["tid"])
    async with request.app.state.pool.acquire() as connection:
        role = await connection.fetchval(MEMBERSHIP, tenant_id, UUID(claims["sub"]))
        if role is None or (writes and role not in WRITERS):
            raise PermissionDeniedException
        yield connection, tenant_id


@get("/projects/{project_id:uuid}")
async def get_project(request: Incoming, project_id: FromPath[UUID]) -> Project:
    async with authorized(request) as (connection, tenant_id):
        record = await connection.fetchrow(GET, tenant_id, project_id)
    if record is None:
        raise NotFoundException
    return Project(*record)


@get("/projects")
async def list_projects(
    request: Incoming,
    limit: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, QueryParameter(max_length=1024)] = None,
) -> Page:
    async with authorized(request) as (connection, tenant_id):
        if cursor:
            records = await connection.fetch(LIST_AFTER, tenant_id, limit + 1, *position(cursor))
        else:
            records = await connection.fetch(LIST, tenant_id, limit + 1)
    return page_of(records, limit)


@post("/projects")
async def create_project(request: Incoming, data: JSONBody[ProjectCreate]) -> Project:
    async with authorized(request, writes=True) as (connection, tenant_id):
        values = uuid7(), data.name, data.description, datetime.now(UTC)
        return Project(*await connection.fetchrow(INSERT, tenant_id, *values))


@patch("/projects/{project_id:uuid}")
async def change_project(request: Incoming, project_id: FromPath[UUID], data: JSONBody[ProjectPatch]) -> Project:
    async with authorized(request, writes=True) as (connection, tenant_id):
        values = *data.values(), datetime.now(UTC)
        record = await connection.fetchrow(UPDATE, tenant_id, project_id, *values)
    if record is None:
        raise ClientException(status_code=409)
    return Project(*record)


@get("/health/live")
async def live() -> dict[str, str]:
    return {"status": "ok"}


@asynccontextmanager
async def connected(app: Litestar) -> AsyncIterator[None]:
    async with asyncpg.create_pool(setting("DATABASE_URL"), min_size=10, max_size=20) as pool:
        app.state.pool = pool
        yield


projects = Router("/api/v1", route_handlers=[get_project, list_projects, create_project, change_project])
app = Litestar([projects, live], lifespan=[connected], openapi_config=None)
