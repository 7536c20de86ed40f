"""What matters most is done only by somebody who has just proven who they are."""

from datetime import timedelta

import msgspec
import pytest

from tenantry.clock import now
from tenantry.config import Settings
from tenantry.http.policy import Allow, SignedIn
from tenantry.security.permissions import Role
from tenantry.security.principal import Principal
from tenantry.testing import Api, TenantHandle, World, problem
from tests.isolation.operations import Contract

SENSITIVE = {
    "DELETE /api/v1/auth/mfa/totp",
    "DELETE /api/v1/auth/passkeys/{passkey_id}",
    "DELETE /api/v1/auth/sessions",
    "DELETE /api/v1/auth/sessions/{session_id}",
    "DELETE /api/v1/me",
    "DELETE /api/v1/me/identities/{identity_id}",
    "DELETE /api/v1/sso/connections/{connection_id}",
    "DELETE /api/v1/tenants/current",
    "GET /api/v1/me/export",
    "PATCH /api/v1/sso/connections/{connection_id}",
    "POST /api/v1/api-keys",
    "POST /api/v1/api-keys/{key_id}/rotate",
    "POST /api/v1/auth/mfa/recovery-codes",
    "POST /api/v1/auth/mfa/totp",
    "POST /api/v1/auth/mfa/totp/confirm",
    "POST /api/v1/auth/passkeys",
    "POST /api/v1/auth/passkeys/options",
    "POST /api/v1/me/email",
    "POST /api/v1/me/identities/link",
    "POST /api/v1/me/identities/link/complete",
    "POST /api/v1/members/{user_id}/transfer-ownership",
    "POST /api/v1/sso/connections",
}


@pytest.fixture(scope="module")
def contract(app) -> Contract:
    return Contract(app)


@pytest.mark.asvs("7.5.1", "7.5.3", "10.3.4")
async def test_stale_proof(api: Api, world: World, acme: TenantHandle, settings: Settings, contract: Contract) -> None:
    """Every route that asks for it refuses whoever proved themselves too long ago, and says how fresh it must be."""
    owner = acme.owner
    principal = Principal(owner.id, owner.session_id, acme.id, authenticated_at=now())
    age = timedelta(seconds=settings.fresh_auth_seconds + 5)
    stale = api.bearing(world.tokens.issue(msgspec.structs.replace(principal, authenticated_at=now() - age)))
    never = api.bearing(world.tokens.issue(msgspec.structs.replace(principal, authenticated_at=None)))
    asking = [each for each in contract.operations if getattr(each.policy, "fresh_auth", False)]

    assert {str(operation) for operation in asking} >= SENSITIVE
    for operation in asking:
        assert isinstance(operation.policy, Allow | SignedIn)
        for caller in (stale, never):
            refused = await contract.call(caller, operation)

            assert problem(401, "fresh_auth_required", max_age=settings.fresh_auth_seconds) == refused, operation
            assert "insufficient_user_authentication" in refused.headers["www-authenticate"]


async def test_programs_have_nothing_fresher(api: Api, acme: TenantHandle) -> None:
    """A service account's key makes and rotates keys, as its permissions let it."""
    account = await acme.service_account(Role.admin)
    key = await acme.key(account, ["api-keys:write", "api-keys:read"])
    program = api.bearing(key.text)

    made = await program.post("/api-keys", json={"name": "spare", "scopes": ["api-keys:read"]})
    rotated = await program.post(f"/api-keys/{made.json()['id']}/rotate", json={})

    assert (201, 200) == (made.status_code, rotated.status_code), (made.text, rotated.text)
