"""What operators do for people who have lost their second factors."""

from functools import partial
from typing import Any

import rich_click as click

from features.accounts.api import credentials_of, lock_account, normalized
from features.mfa.errors import AccountNotFound
from features.mfa.service import forget_factors
from features.sessions.api import end_sessions
from tenantry.config import Settings
from tenantry.console import begin, in_transaction, say, settings_of_command
from tenantry.db.session import UnitOfWork
from tenantry.mail import Mailer, standalone_mailer

ALL_FACTORS = "any second factor, since an operator of the service has removed them"


@click.group()
@click.pass_context
def users(context: click.Context) -> None:
    """People: what they log in with."""
    begin(context)


@users.command("reset-mfa")
@click.argument("email")
@settings_of_command
def reset_mfa(settings: Settings, email: str) -> None:
    """Remove all second factors of an account, and end its sessions. Find out first that it is its owner who asks."""
    ended = in_transaction(settings, partial(reset, mailer=standalone_mailer(settings), email=email))
    say(f"{email} logs in with the password alone now; {ended} sessions have ended")


async def reset(unit_of_work: UnitOfWork, mailer: Mailer, email: str) -> int:
    """How many sessions have ended. The owner of the account is told, in case it was not they who asked."""
    known = await credentials_of(unit_of_work, normalized(email))
    if known is None:
        raise AccountNotFound
    await lock_account(unit_of_work, known.user_id)
    await forget_factors(unit_of_work, known.user_id)
    await mailer.notify(known.user_id, "factor_removed", unit_of_work, about=ALL_FACTORS)
    return await end_sessions(unit_of_work, known.user_id, "second_factors_reset")


commands: list[Any] = [users]
