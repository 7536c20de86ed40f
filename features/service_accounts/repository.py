from features.service_accounts.dtos import Account
from features.service_accounts.errors import ServiceAccountNotFound
from features.service_accounts.models import ServiceAccountRow
from tenantry.db.listing import ANY_OF, SPAN, TEXT, Listing
from tenantry.db.repository import Repository


class AccountRepository(Repository[ServiceAccountRow, Account]):
    not_found = ServiceAccountNotFound
    listing = Listing(sort=("created_at", "name"), filters={"id": ANY_OF, "name": TEXT, "created_at": SPAN})
