from tenantry.errors import Conflict, Forbidden, NotFound, Unprocessable


class ApiKeyNotFound(NotFound):
    code = "api_key_not_found"
    title = "There is no such API key"


class ApiKeyEnded(Conflict):
    code = "api_key_ended"
    title = "The API key was revoked or has expired; create another"


class KeyOfAPerson(Forbidden):
    code = "api_key_of_a_person"
    title = "Only its holder can change or rotate a person's API key; you can revoke it"


class UnknownScope(Unprocessable):
    code = "unknown_scope"
    title = "There is no such permission"


class InvalidExpiry(Unprocessable):
    code = "invalid_expiry"
    title = "An API key expires in the future, within five years"

    def __init__(self) -> None:
        super().__init__(errors=[{"detail": f"{self.title}.", "pointer": "/expires_at"}])


class UnknownServiceAccount(Unprocessable):
    code = "unknown_service_account"
    title = "The tenant has no such service account"

    def __init__(self) -> None:
        super().__init__(errors=[{"detail": f"{self.title}.", "pointer": "/service_account_id"}])
