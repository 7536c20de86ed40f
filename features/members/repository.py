from typing import ClassVar
from uuid import UUID

from msgspec import Struct
from sqlalchemy import delete, func, select

from features.members.dtos import Invitation, Member
from features.members.errors import InvitationNotFound
from features.members.models import InvitationRow, MemberRow, PersonRow
from features.tenants.api import MemberNotFound
from tenantry.clock import now
from tenantry.db.listing import ANY_OF, EXACT, SPAN, Listing, parts
from tenantry.db.repository import Repository


class MemberRepository(Repository[MemberRow, Member]):
    columns: ClassVar = {"user_id": MemberRow.id}
    not_found = MemberNotFound
    listing = Listing(
        filters={"role": ANY_OF, "email": EXACT, "created_at": SPAN}, search=parts(MemberRow.name, MemberRow.email)
    )

    async def has_address(self, email: str) -> bool:
        return await self.unit_of_work.scalar(select(MemberRow.id).where(MemberRow.email == email)) is not None

    async def address_of(self, user_id: UUID) -> str:
        """Of anyone, member or not."""
        return str(await self.unit_of_work.scalar(select(PersonRow.email).where(PersonRow.id == user_id)))


class Redeemed(Struct):
    email: str
    role: str


ROLE = func.coalesce(InvitationRow.built_in_role, InvitationRow.custom_role)


class InvitationRepository(Repository[InvitationRow, Invitation]):
    columns: ClassVar = {"role": ROLE}
    not_found = InvitationNotFound
    listing = Listing(filters={"role": ANY_OF, "email": EXACT, "created_at": SPAN, "expires_at": SPAN})

    async def has_address(self, email: str) -> bool:
        found = select(InvitationRow.id).where(InvitationRow.email == email)
        return await self.unit_of_work.scalar(found) is not None

    async def redeem(self, token_hash: bytes) -> Redeemed | None:
        """In one statement, so that of several at once one succeeds."""
        good = (InvitationRow.token_hash == token_hash, InvitationRow.expires_at > now())
        redeemed = delete(InvitationRow).where(*good).returning(InvitationRow.email, ROLE.label("role"))
        row = await self.unit_of_work.row(redeemed)
        return Redeemed(**row._mapping) if row is not None else None
