from datetime import timedelta
from uuid import UUID

from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from features.api_keys.dtos import ApiKey, ApiKeyCreate, ApiKeyPatch, ApiKeyRotation, NewApiKey
from features.api_keys.permissions import READ, WRITE
from features.api_keys.repository import ApiKeyRepository
from features.api_keys.service import ApiKeyService
from tenantry.db.page import Page
from tenantry.http.page import PageQuery, lists
from tenantry.http.policy import allow
from tenantry.security.principal import CurrentPrincipal

ApiKeys = NamedDependency[ApiKeyService]


class ApiKeyController(Controller):
    path = "/api-keys"

    @get(opt=allow(READ) | lists(ApiKeyRepository), summary="List API keys")
    async def list(self, api_keys: ApiKeys, page: PageQuery, principal: CurrentPrincipal) -> Page[ApiKey]:
        """Your own; with `api-keys:manage` all of the tenant."""
        return await api_keys.page(page, principal)

    @post(opt=allow(WRITE, audit="api-key.created", fresh_auth="of_people"), summary="Create an API key")
    async def create(
        self,
        data: JSONBody[ApiKeyCreate],
        api_keys: ApiKeys,
        principal: CurrentPrincipal,
    ) -> NewApiKey:
        """Only this answer has the key. With `api-keys:manage` it can be for a service account.

        People prove again who they are before.
        """
        return await api_keys.create(data, principal)

    @get("/{key_id:uuid}", opt=allow(READ), summary="Get an API key")
    async def get(self, key_id: FromPath[UUID], api_keys: ApiKeys, principal: CurrentPrincipal) -> ApiKey:
        return await api_keys.get(key_id, principal)

    @patch("/{key_id:uuid}", opt=allow(WRITE, audit="api-key.changed"), summary="Change an API key")
    async def change(
        self,
        key_id: FromPath[UUID],
        data: JSONBody[ApiKeyPatch],
        api_keys: ApiKeys,
        principal: CurrentPrincipal,
    ) -> ApiKey:
        """Your own, or that of a service account. It gets no scope that you do not hold."""
        return await api_keys.change(key_id, data, principal)

    @delete("/{key_id:uuid}", opt=allow(WRITE, audit="api-key.revoked"), summary="Revoke an API key")
    async def revoke(self, key_id: FromPath[UUID], api_keys: ApiKeys, principal: CurrentPrincipal) -> None:
        """It stops working at once, with all tokens that were issued for it; the list still shows it."""
        await api_keys.revoke(key_id, principal)

    @post(
        "/{key_id:uuid}/rotate",
        opt=allow(WRITE, audit="api-key.rotated", fresh_auth="of_people"),
        status_code=200,
        summary="Replace the secret of an API key",
    )
    async def rotate(
        self,
        key_id: FromPath[UUID],
        data: JSONBody[ApiKeyRotation],
        api_keys: ApiKeys,
        principal: CurrentPrincipal,
    ) -> NewApiKey:
        """Only this answer has the new key. The old one works until the overlap ends, or until the next rotation."""
        return await api_keys.rotate(key_id, timedelta(seconds=data.overlap_seconds), principal)
