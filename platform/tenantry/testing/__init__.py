"""What the tests of a slice import, such as `Api`, `TenantHandle` and `problem`. The fixtures come with `plugin`."""

from tenantry.testing.api import Api, From, asgi_client, clients_of, elsewhere, problem
from tenantry.testing.mailbox import Mailbox
from tenantry.testing.world import PASSWORD, Account, Key, TenantHandle, World, subject_of

__all__ = (
    "PASSWORD",
    "Account",
    "Api",
    "From",
    "Key",
    "Mailbox",
    "TenantHandle",
    "World",
    "asgi_client",
    "clients_of",
    "elsewhere",
    "problem",
    "subject_of",
)
