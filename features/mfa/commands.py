"""What operators do for people who have lost their second factors."""

import asyncio
import sys
from typing import Any

import rich_click as click

from features.accounts.api import credentials_of, lock_account, normalized
from features.mfa.errors import AccountNotFound
from features.mfa.service import forget_factors
from features.sessions.api import end_sessions
from tenantry.config import Settings, load_settings
from tenantry.console import say
from tenantry.db.provision import embedded_server
from tenantry.db.standalone import standalone_database

settings_of_command = click.make_pass_decorator(Settings)


@click.group()
@click.pass_context
def users(context: click.Context) -> None:
    """People: what they log in with."""
    context.obj = load_settings(serving=False).settings
    if {"-h", "--help"}.isdisjoint(sys.argv):
        context.with_resource(embedded_server(context.obj, say))


@users.command("reset-mfa")
@click.argument("email")
@settings_of_command
def reset_mfa(settings: Settings, email: str) -> None:
    """Remove all second factors of an account, and end its sessions. Find out first that it is its owner who asks."""
    ended = asyncio.run(reset(settings, email))
    say(f"{email} logs in with the password alone now; {ended} sessions have ended")


async def reset(settings: Settings, email: str) -> int:
    """How many sessions have ended."""
    async with standalone_database(settings) as database, database.transaction() as unit_of_work:
        known = await credentials_of(unit_of_work, normalized(email))
        if known is None:
            raise AccountNotFound
        await lock_account(unit_of_work, known.user_id)
        await forget_factors(unit_of_work, known.user_id)
        return await end_sessions(unit_of_work, known.user_id, "second_factors_reset")


commands: list[Any] = [users]
