from features.api_keys.dtos import ApiKey
from features.api_keys.errors import ApiKeyNotFound
from features.api_keys.models import ApiKeyRow
from tenantry.db.listing import ANY_OF, EXACT, SPAN, TEXT, Listing, flag
from tenantry.db.repository import Repository


class ApiKeyRepository(Repository[ApiKeyRow, ApiKey]):
    not_found = ApiKeyNotFound
    listing = Listing(
        filters={
            "id": ANY_OF, "name": TEXT, "created_at": SPAN, "expires_at": SPAN, "last_used_at": SPAN,
            "service_account_id": EXACT.of(ApiKeyRow.subject_id, "Only those of this one"),
            "revoked": flag(ApiKeyRow.revoked_at.is_not(None), "Only revoked, or only other ones"),
        },
    )  # fmt: skip
