"""What operators do with accounts, as the runtime role. What a command changes holds from the next request on."""

from typing import Any

import rich_click as click

from features.accounts.dtos import NewAccount
from features.accounts.errors import AddressTaken
from features.accounts.models import UserRow
from features.accounts.repository import SignUpRepository, UserRepository
from features.accounts.service import normalized
from features.sessions.api import end_sessions
from tenantry.config import Settings
from tenantry.console import begin, checked, in_transaction, say, settings_of_command
from tenantry.db.session import UnitOfWork


@click.group()
@click.pass_context
def users(context: click.Context) -> None:
    """Accounts: create, disable, enable, revoke sessions."""
    begin(context)


@users.command()
@click.argument("email")
@click.option("--name", required=True)
@settings_of_command
def create(settings: Settings, email: str, name: str) -> None:
    """Create an account without a password: its owner sets one by POST /auth/password/forgot.

    Whoever runs this answers for the address being theirs.
    """
    data: NewAccount = checked({"email": email, "name": name}, NewAccount)
    address = normalized(data.email)

    async def add(unit_of_work: UnitOfWork) -> None:
        accounts = UserRepository(unit_of_work)
        if await accounts.exists(address):
            raise AddressTaken
        await SignUpRepository(unit_of_work).forget(address)
        await accounts.add(UserRow(email=address, name=data.name.strip(), password_hash=None))

    in_transaction(settings, add)
    say(f"Created {address}; its owner sets a password by asking for a link: POST /auth/password/forgot")


@users.command()
@click.argument("email")
@settings_of_command
def disable(settings: Settings, email: str) -> None:
    """Lock somebody out, at once, until they are enabled; their sessions end."""

    async def act(unit_of_work: UnitOfWork) -> int:
        accounts = UserRepository(unit_of_work)
        user_id = await accounts.id_of(normalized(email))
        await accounts.alter(user_id, UserRow.disable)
        return await end_sessions(unit_of_work, user_id, "account_disabled")

    say(f"Disabled {email}; {in_transaction(settings, act)} sessions have ended")


@users.command()
@click.argument("email")
@settings_of_command
def enable(settings: Settings, email: str) -> None:
    """Let somebody log in again."""

    async def act(unit_of_work: UnitOfWork) -> None:
        accounts = UserRepository(unit_of_work)
        await accounts.alter(await accounts.id_of(normalized(email)), UserRow.enable)

    in_transaction(settings, act)
    say(f"Enabled {email}")


@users.command("revoke-sessions")
@click.argument("email")
@settings_of_command
def revoke_sessions(settings: Settings, email: str) -> None:
    """End all sessions of somebody, who can log in again."""

    async def act(unit_of_work: UnitOfWork) -> int:
        user_id = await UserRepository(unit_of_work).id_of(normalized(email))
        return await end_sessions(unit_of_work, user_id, "revoked_by_operator")

    say(f"{in_transaction(settings, act)} sessions of {email} have ended")


commands: list[Any] = [users]
