from tenantry.errors import Conflict, Forbidden, NotFound


class AddressNotVerified(Forbidden):
    code = "sso_address_not_verified"
    title = "The identity provider does not say that your address is verified"


class DomainNotConfirmed(Forbidden):
    code = "sso_domain_not_confirmed"
    title = "Your address is of no domain that is confirmed for this connection"


class AccountExists(Conflict):
    code = "account_exists"
    title = "Your address has an account already: log in to it, and link the identity there"


class NotAMemberThere(Forbidden):
    code = "sso_not_a_member"
    title = "You are not a member of the tenant of this connection; ask to be invited"


class AccountRefused(Forbidden):
    code = "sso_account_refused"
    title = "This account cannot be logged in to"


class AddressDiffers(Conflict):
    code = "sso_address_differs"
    title = "The identity has another address than your account"


class AnotherIdentity(Forbidden):
    code = "sso_another_identity"
    title = "You have logged in at the identity provider as somebody else than here"


class IdentityTaken(Conflict):
    code = "identity_taken"
    title = "This identity is linked to another account"


class IdentityNotFound(NotFound):
    code = "identity_not_found"
    title = "You have linked no such identity"
