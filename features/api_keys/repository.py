from uuid import UUID

from features.api_keys.dtos import ApiKey
from features.api_keys.errors import ApiKeyNotFound
from features.api_keys.models import ApiKeyRow
from tenantry.db.page import Page, PageRequest
from tenantry.db.repository import Repository


class ApiKeyRepository(Repository[ApiKeyRow, ApiKey]):
    not_found = ApiKeyNotFound

    async def list(self, page: PageRequest, *, subjects: set[UUID], revoked: bool | None) -> Page[ApiKey]:
        """Of those who are all of `subjects`; of everyone where it is empty."""
        views = self.views
        for subject_id in subjects:
            views = views.where(ApiKeyRow.subject_id == subject_id)
        if revoked is not None:
            views = views.where(ApiKeyRow.revoked_at.is_not(None) if revoked else ApiKeyRow.revoked_at.is_(None))
        return await self.page(views, page)
