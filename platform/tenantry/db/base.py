"""Bases of all tables. A tenant-owned table says `class ProjectRow(TenantOwned)` and nothing about tenants."""

from datetime import datetime
from typing import Any, ClassVar, Self
from uuid import UUID

from advanced_alchemy.types import DateTimeUTC
from msgspec import UNSET, Struct
from msgspec.structs import asdict
from sqlalchemy import Computed, ForeignKey, ForeignKeyConstraint, MetaData, Text, literal_column, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tenantry.clock import now
from tenantry.ids import new_id
from tenantry.plans import Quota

__all__ = (
    "BOUND_TENANT",
    "BOUND_USER",
    "DERIVED",
    "SECRET",
    "VIEW",
    "Base",
    "TenantOwned",
    "Versioned",
    "is_view",
    "sealed_for",
    "searchable",
    "tenant_foreign_key",
)

BOUND_TENANT = "nullif(current_setting('app.tenant_id', true), '')::uuid"
"""The tenant of the transaction. The setting is '' rather than NULL after a transaction that had bound one."""
BOUND_USER = "nullif(current_setting('app.user_id', true), '')::uuid"
VIEW: dict[str, Any] = {"info": {"view": True}}
"""`__table_args__` of a class that is read from a view; a migration makes the view, by hand."""

SECRET: dict[str, Any] = {"secret": True}
"""`info` of a column that never leaves with an export: `mapped_column(info=SECRET)`."""


def sealed_for(purpose: str, owner: str = "id") -> dict[str, Any]:
    """`info` of a column that the vault has sealed: what for, and which column says whose it is. A secret, too."""
    return SECRET | {"sealed": (purpose, owner)}


DERIVED: dict[str, Any] = {"derived": True}
"""`info` of a column that is no datum of its own, and is made again wherever the row goes."""


class Base(DeclarativeBase):
    """`ProjectRow.of(data)` makes a row of a Struct; `row.apply(patch)` takes over what the patch carries."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: DateTimeUTC(timezone=True),
        str: Text(),
        list[str]: ARRAY(Text()),
        dict[str, Any]: JSONB(),
    }

    @classmethod
    def of(cls, data: Struct) -> Self:
        """Made as SQLAlchemy makes what it loads: its constructor would ask for listeners at every value."""
        manager = cls.__mapper__.class_manager
        row: Self = manager.new_instance()
        values = asdict(data)
        if unknown := values.keys() - manager.keys():
            raise TypeError(f"{cls.__name__} has no {', '.join(sorted(unknown))}")
        vars(row).update(values)
        return row

    def apply(self, patch: Struct) -> None:
        for field, value in asdict(patch).items():
            if value is not UNSET:
                setattr(self, field, value)


class Versioned:
    """A row that counts its changes: every UPDATE that SQLAlchemy writes sets the version, too."""

    __mapper_args__: ClassVar[dict[str, Any]] = {"eager_defaults": True}  # what is written answers with its version
    version: Mapped[int] = mapped_column(
        server_default=text("1"), onupdate=literal_column("version + 1"), sort_order=92
    )


class TenantOwned(Versioned, Base):
    """A row of one tenant. The database fills `tenant_id` from the bound tenant and hides all other rows."""

    __abstract__ = True

    readable_across_tenants: ClassVar[bool] = False
    """True where a second policy shows people their own rows of any tenant."""
    quota: ClassVar[Quota | None] = None
    """How many a tenant may have; its migration says `op.enforce_quota`."""

    tenant_id: Mapped[UUID] = mapped_column(
        ForeignKey("tenants.id"), primary_key=True, server_default=text(BOUND_TENANT), sort_order=-2
    )
    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id, sort_order=-1)
    created_at: Mapped[datetime] = mapped_column(default=now, sort_order=90)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now, sort_order=91)


def is_view(table: Any) -> bool:
    return bool(table.info.get("view"))


def searchable(*columns: str) -> Any:
    """A column with the words of these, which the database keeps, for `words` of a list. Objects never carry it.

    Without stemming, for nobody here knows the language.
    """
    text_of_all = " || ' ' || ".join(columns)
    return mapped_column(
        TSVECTOR, Computed(f"to_tsvector('simple'::regconfig, {text_of_all})"), deferred=True, info=DERIVED
    )


def tenant_foreign_key(column: str, to: str, **options: Any) -> ForeignKeyConstraint:
    """A reference between tenant-owned tables; with the tenant in it, it cannot point into another tenant.

    `tenant_foreign_key("project_id", "projects.id")` belongs into `__table_args__`.
    """
    table, target = to.split(".")
    return ForeignKeyConstraint(["tenant_id", column], [f"{table}.tenant_id", f"{table}.{target}"], **options)
