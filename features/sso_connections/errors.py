from tenantry.errors import Conflict, NotFound, Unprocessable


class ConnectionNotFound(NotFound):
    code = "sso_connection_not_found"
    title = "There is no such connection to an identity provider"


class ConnectionNameTaken(Conflict):
    code = "sso_connection_name_taken"
    title = "Another connection of the tenant has this name"
    constraint = "uq_sso_connections_tenant_id_name"


class DomainTaken(Conflict):
    code = "sso_domain_taken"
    title = "Another connection of the tenant has one of these domains"


class NoOwnersByDefault(Unprocessable):
    code = "sso_default_owner"
    title = "An identity provider cannot make owners; choose another default role"


class InsecureIssuer(Unprocessable):
    code = "sso_issuer_insecure"
    title = "The address of an issuer begins with https://"


class DomainConfirmedElsewhere(Conflict):
    code = "sso_domain_confirmed_elsewhere"
    title = "The domain is confirmed for another tenant; withdraw it there first"
