from features.service_accounts.dtos import Account
from features.service_accounts.errors import ServiceAccountNotFound
from features.service_accounts.models import ServiceAccountRow
from tenantry.db.repository import Repository


class AccountRepository(Repository[ServiceAccountRow, Account]):
    sortable = ("created_at", "name")
    not_found = ServiceAccountNotFound
