from tenantry.errors import Conflict, NotFound


class ServiceAccountNotFound(NotFound):
    code = "service_account_not_found"
    title = "There is no such service account"


class ServiceAccountNameTaken(Conflict):
    code = "service_account_name_taken"
    title = "Another service account has this name"
    constraint = "uq_service_accounts_tenant_id_name"
