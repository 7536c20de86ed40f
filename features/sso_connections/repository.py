from collections.abc import Sequence
from typing import ClassVar
from uuid import UUID

from sqlalchemy import ColumnElement, Text, any_, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY

from features.sso_connections.dtos import StoredConnection
from features.sso_connections.errors import ConnectionNotFound
from features.sso_connections.models import ConnectionRow, DomainRow
from tenantry.db.listing import ANY_OF, SPAN, TEXT, Listing
from tenantry.db.repository import Repository
from tenantry.db.session import UnitOfWork


def texts(values: Sequence[str]) -> ColumnElement[list[str]]:
    return literal([*values], ARRAY(Text()))


class ConnectionRepository(Repository[ConnectionRow, StoredConnection]):
    columns: ClassVar = {"default_role": func.coalesce(ConnectionRow.built_in_role, ConnectionRow.custom_role)}
    not_found = ConnectionNotFound
    listing = Listing(sort=("created_at", "name"), filters={"id": ANY_OF, "name": TEXT, "created_at": SPAN})

    async def secret(self, id: UUID) -> bytes:
        """Sealed."""
        sealed: bytes | None = await self.unit_of_work.scalar(
            select(ConnectionRow.client_secret).where(ConnectionRow.id == id)
        )
        if sealed is None:
            raise ConnectionNotFound
        return sealed

    async def with_domain(self, domain: str) -> UUID | None:
        """The oldest, should two requests have given one to each of two connections."""
        with_it = ConnectionRow.domains.op("@>")(texts([domain]))
        found = select(ConnectionRow.id).where(with_it).order_by(ConnectionRow.id).limit(1)
        id: UUID | None = await self.unit_of_work.scalar(found)
        return id

    async def others_with(self, domains: Sequence[str], but: UUID | None) -> bool:
        shared = select(ConnectionRow.id).where(ConnectionRow.domains.op("&&")(texts(domains)), ConnectionRow.id != but)
        return bool(await self.unit_of_work.rows(shared.limit(1)))


class DomainRepository:
    def __init__(self, unit_of_work: UnitOfWork) -> None:
        self.unit_of_work = unit_of_work

    async def tenant_of(self, domain: str) -> UUID | None:
        tenant_id: UUID | None = await self.unit_of_work.scalar(
            select(DomainRow.tenant_id).where(DomainRow.domain == domain)
        )
        return tenant_id

    async def confirmed(self, domains: Sequence[str], tenant: UUID) -> set[str]:
        """Those of them that are this tenant's."""
        named = select(DomainRow.domain, DomainRow.tenant_id).where(DomainRow.domain == any_(texts(domains)))
        rows = await self.unit_of_work.rows(named)
        return {row.domain for row in rows if row.tenant_id == tenant}
