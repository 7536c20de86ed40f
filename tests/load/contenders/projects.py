"""What the two hand-written Litestar applications share: statements, shapes on the wire, cursors, settings."""

import base64
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

__all__ = ("GET", "INSERT", "LIST", "LIST_AFTER", "UPDATE", "Page", "Project", "ProjectCreate", "ProjectPatch",
           "page_of", "position", "setting")  # fmt: skip

COLUMNS = "id, name, description, archived_at, created_at, updated_at"
SELECT = f"SELECT {COLUMNS} FROM projects WHERE tenant_id = $1"  # noqa: S608 -- constants, here and below
ORDER = "ORDER BY created_at DESC, id DESC LIMIT $2"
GET = f"{SELECT} AND id = $2"
LIST = f"{SELECT} {ORDER}"
LIST_AFTER = f"{SELECT} AND (created_at, id) < ($3, $4) {ORDER}"
RETURNING = f"RETURNING {COLUMNS}"
INSERTED = "(tenant_id, id, name, description, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5)"
INSERT = f"INSERT INTO projects {INSERTED} {RETURNING}"
CHANGED = "name = coalesce($3, name), description = coalesce($4, description), updated_at = $5"
UPDATE = f"UPDATE projects SET {CHANGED} WHERE tenant_id = $1 AND id = $2 AND archived_at IS NULL {RETURNING}"  # noqa: S608 -- constants
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Description = Annotated[str, Meta(max_length=10_000)]


class Project(msgspec.Struct):
    id: UUID
    name: str
    description: str
    archived_at: datetime | None
    created_at: datetime
    updated_at: datetime


class ProjectCreate(msgspec.Struct, forbid_unknown_fields=True):
    name: Name
    description: Description = ""


class ProjectPatch(msgspec.Struct, forbid_unknown_fields=True):
    name: Name | UnsetType = UNSET
    description: Description | UnsetType = UNSET

    def values(self) -> tuple[str | None, str | None]:
        """For `UPDATE`, where null leaves a column as it is."""
        return self.name or None, None if self.description is UNSET else self.description


class Page(msgspec.Struct):
    items: list[Project]
    next_cursor: str | None


def page_of(records: Sequence[Any], limit: int) -> Page:
    """`records` may hold one more than the page, which then is not the last."""
    items = [Project(*record) for record in records[:limit]]
    if len(records) <= limit:
        return Page(items, None)
    last = msgspec.json.encode([items[-1].created_at, items[-1].id])
    return Page(items, base64.urlsafe_b64encode(last).decode())


def position(cursor: str) -> tuple[datetime, UUID]:
    at, id = msgspec.json.decode(base64.urlsafe_b64decode(cursor), type=tuple[datetime, UUID])
    return at.astimezone(UTC), id


def setting(name: str) -> str:
    return os.environ[f"BENCHMARK_{name}"]
