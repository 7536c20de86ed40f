from collections.abc import Set
from datetime import timedelta
from uuid import UUID

from msgspec import UNSET
from msgspec.structs import asdict

from features.api_keys.dtos import ApiKey, ApiKeyCreate, ApiKeyPatch, NewApiKey
from features.api_keys.errors import InvalidExpiry, KeyOfAPerson, UnknownScope, UnknownServiceAccount
from features.api_keys.models import ApiKeyRow
from features.api_keys.permissions import MANAGE
from features.api_keys.repository import ApiKeyRepository
from features.roles.api import known_permissions, require_held
from features.tenants.api import MemberNotFound, membership_of
from tenantry.clock import now
from tenantry.db.grants import held_permissions
from tenantry.db.page import Page, PageRequest
from tenantry.db.session import UnitOfWork
from tenantry.ids import new_id
from tenantry.security.api_keys import new_key
from tenantry.security.principal import Principal

LONGEST_LIFE = timedelta(days=5 * 365)


class ApiKeyService:
    """Who may do what with whose keys.

    Everyone has their own. With `api-keys:manage` one also gives keys to service accounts, and sees and revokes those
    of all. Nobody gets a key, or widens one, that may do what they do not hold at that moment: else a key would be a
    way to what its creator, be it another key, cannot reach. And nobody gets one that speaks for another person.
    """

    def __init__(self, unit_of_work: UnitOfWork) -> None:
        self.unit_of_work = unit_of_work
        self.keys = ApiKeyRepository(unit_of_work)

    async def page(self, request: PageRequest, by: Principal) -> Page[ApiKey]:
        if MANAGE.name in await held_permissions(self.unit_of_work, by):
            return await self.keys.page(request)
        return await self.keys.page(request, self.keys.views.where(ApiKeyRow.subject_id == by.subject_id))

    async def get(self, id: UUID, by: Principal) -> ApiKey:
        key = await self.keys.get(id)
        held = await held_permissions(self.unit_of_work, by)
        self._require_visible(key.subject_id, by, held)
        return key

    async def create(self, data: ApiKeyCreate, by: Principal) -> NewApiKey:
        held = await held_permissions(self.unit_of_work, by)
        scopes = await self._scopes(data.scopes)
        require_held(held, scopes)
        if data.expires_at is not None and not now() < data.expires_at <= now() + LONGEST_LIFE:
            raise InvalidExpiry
        subject_id = by.subject_id
        if data.service_account_id is not None:
            require_held(held, {MANAGE.name})
            if not await self._is_service_account(data.service_account_id):
                raise UnknownServiceAccount
            subject_id = data.service_account_id
        id = new_id()
        made = new_key(by.tenant, subject_id, id)
        row = ApiKeyRow(
            id=id,
            subject_id=subject_id,
            name=data.name,
            hint=made.hint,
            secret_hash=made.secret_hash,
            scopes=scopes,
            expires_at=data.expires_at,
            created_by=by.subject_id,
        )
        return NewApiKey(**asdict(await self.keys.add(row)), key=made.text)

    async def rotate(self, id: UUID, overlap: timedelta, by: Principal) -> NewApiKey:
        held = await held_permissions(self.unit_of_work, by)
        row = await self._own(id, by, held)
        require_held(held, row.scopes)
        made = new_key(by.tenant, row.subject_id, id)
        row.rotate(made, overlap)
        return NewApiKey(**asdict(await self.keys.save(row)), key=made.text)

    async def change(self, id: UUID, patch: ApiKeyPatch, by: Principal) -> ApiKey:
        held = await held_permissions(self.unit_of_work, by)
        row = await self._own(id, by, held)
        if patch.scopes is not UNSET:
            scopes = await self._scopes(patch.scopes)
            require_held(held | {*row.scopes}, scopes)
            row.rescope(scopes)
        if patch.name is not UNSET:
            row.rename(patch.name)
        return await self.keys.save(row)

    async def revoke(self, id: UUID, by: Principal) -> None:
        held = await held_permissions(self.unit_of_work, by)
        row = await self.keys.entity(id)
        self._require_visible(row.subject_id, by, held)
        row.revoke()
        await self.unit_of_work.flush()

    async def _own(self, id: UUID, by: Principal, held: Set[str]) -> ApiKeyRow:
        """One's own, or that of a service account; locked."""
        row = await self.keys.entity(id)
        self._require_visible(row.subject_id, by, held)
        if row.subject_id != by.subject_id and not await self._is_service_account(row.subject_id):
            raise KeyOfAPerson
        return row

    def _require_visible(self, subject_id: UUID, by: Principal, held: Set[str]) -> None:
        if subject_id != by.subject_id and MANAGE.name not in held:
            raise self.keys.not_found

    async def _is_service_account(self, subject_id: UUID) -> bool:
        try:
            return (await membership_of(self.unit_of_work, subject_id)).is_service_account
        except MemberNotFound:
            return False

    async def _scopes(self, wanted: list[str]) -> list[str]:
        """Without repetition, in alphabetical order."""
        known = await known_permissions(self.unit_of_work)
        unknown = [number for number, scope in enumerate(wanted) if scope not in known]
        if unknown:
            faults = [{"detail": f"{UnknownScope.title}.", "pointer": f"/scopes/{number}"} for number in unknown]
            raise UnknownScope(errors=faults)
        return sorted({*wanted})
