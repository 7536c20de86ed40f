"""What a slice's tests import: `Api`, `Mailbox`, `TenantHandle`, `problem`. The fixtures come with `plugin`."""

from tenantry.testing.api import Api, problem
from tenantry.testing.mailbox import Mailbox
from tenantry.testing.world import PASSWORD, Account, Key, TenantHandle, World

__all__ = ("PASSWORD", "Account", "Api", "Key", "Mailbox", "TenantHandle", "World", "problem")
