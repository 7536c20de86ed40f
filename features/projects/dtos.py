from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\S", examples=["Apollo"])]
Description = Annotated[str, Meta(max_length=10_000)]


class ProjectCreate(Struct, forbid_unknown_fields=True):
    name: Name
    description: Description = ""


class ProjectPatch(Struct, forbid_unknown_fields=True):
    name: Name | UnsetType = UNSET
    description: Description | UnsetType = UNSET


class Project(Struct):
    id: UUID
    name: str
    description: str
    archived_at: datetime | None
    created_at: datetime
    updated_at: datetime
