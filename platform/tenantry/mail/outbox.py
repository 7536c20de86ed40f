"""Where slices leave mail: it is kept in the transaction of what it tells of, and somebody else sends it."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select

from tenantry.clock import now
from tenantry.db.database import Database
from tenantry.db.session import UnitOfWork
from tenantry.ids import new_id
from tenantry.mail.message import Mail
from tenantry.mail.models import QueuedMailRow
from tenantry.mail.seal import MailSeal
from tenantry.mail.templates import MailTemplates
from tenantry.tenancy.people import USERS
from tenantry.visitor import Visitor

__all__ = ("Mailer",)


class Mailer:
    """Handlers and services name it `mailer`.

    With a `unit_of_work` the mail is kept when that one commits, and never leaves when it does not. Without one it is
    kept at once, whatever becomes of the request.
    """

    database: Database
    """There once the application has started."""

    def __init__(self, templates: MailTemplates, seal: MailSeal, wake: Callable[[], object] = lambda: None) -> None:
        self.templates, self._seal, self._wake = templates, seal, wake

    def write(self, name: str, to: str, /, **values: Any) -> Mail:
        """From the templates `<name>.txt` and `<name>.html`, which show `values`."""
        return self.templates.write(name, to, **values)

    async def send(self, mail: Mail, unit_of_work: UnitOfWork | None = None) -> None:
        await self._keep(mail, unit_of_work)

    async def send_nothing(self, unit_of_work: UnitOfWork | None = None) -> None:
        """Do all that `send` does, for nobody: so the time of an answer does not tell whether there was a mail."""
        await self._keep(None, unit_of_work)

    async def notify(
        self,
        user_id: UUID,
        what: str,
        unit_of_work: UnitOfWork | None = None,
        *,
        visitor: Visitor | None = None,
        about: str = "",
        to: str | None = None,
    ) -> None:
        """Tell people what happened to their account, at the address that it has, or at `to`.

        `what` is the name of a mail: `new_device`, `password_changed`, `address_changed`, `factor_added`,
        `factor_removed`, or one of the slice's own. `visitor` is who did it; `about` what it was: a factor's name, a
        new address.
        """
        async with self._within(unit_of_work) as transaction:
            person = await transaction.row(select(USERS.c.email, USERS.c.name).where(USERS.c.id == user_id))
            if person is None:
                return
            moment = f"{now():%d %B %Y, %H:%M} UTC"
            values = {"name": person.name, "moment": moment, "visitor": visitor, "about": about}
            await self._keep(self.write(what, to or person.email, **values), transaction)

    async def _keep(self, mail: Mail | None, unit_of_work: UnitOfWork | None) -> None:
        id = new_id()
        held = {"id": id, "created_at": now(), "due_at": now(), "attempts": 0, "sealed": self._seal.close(id, mail)}
        async with self._within(unit_of_work) as transaction:
            transaction.after_commit.append(self._wake)
            await transaction.execute(insert(QueuedMailRow).values(**held))

    def _within(self, unit_of_work: UnitOfWork | None) -> AbstractAsyncContextManager[UnitOfWork]:
        return self.database.transaction() if unit_of_work is None else nullcontext(unit_of_work)
