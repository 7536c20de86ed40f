"""What waits in the database is of no use to who reads the database: links in mails are secrets."""

from uuid import UUID

import msgspec

from tenantry.mail.message import Mail
from tenantry.mail.models import PURPOSE
from tenantry.security.vault import Vault

__all__ = ("MailSeal",)


class MailSeal:
    """Each mail is bound to its own row; None is what is kept where there is nothing to send."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def close(self, id: UUID, mail: Mail | None) -> bytes:
        return self._vault.seal(msgspec.msgpack.encode(mail), purpose=PURPOSE, owner=id.bytes)

    def open(self, id: UUID, sealed: bytes) -> Mail | None:
        """
        Raises:
            CannotOpen: the key is gone.
        """
        return msgspec.msgpack.decode(self._vault.open(sealed, purpose=PURPOSE, owner=id.bytes), type=Mail | None)
