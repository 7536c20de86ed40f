"""What operators do with the keys that sign tokens."""

import msgspec
import rich_click as click

from tenantry.clock import now
from tenantry.config import Settings
from tenantry.console import begin, say, settings_of_command, show
from tenantry.security.vault import Vault
from tenantry.signing.store import PUBLISHED_BEFORE, add_key, all_keys, retirement_of, withdraw_key
from tenantry.tenancy.resealing import reseal as reseal_all


class ListedKey(msgspec.Struct):
    id: str
    algorithm: str
    state: str
    signs_from: str
    verifies_until: str | None


@click.group()
@click.pass_context
def keys(context: click.Context) -> None:
    """Keys that sign tokens: list, rotate, withdraw. And the key that seals what is stored: reseal."""
    begin(context)


@keys.command("list")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each.")
@settings_of_command
def list_(settings: Settings, as_json: bool) -> None:
    """Those of the database, the oldest first."""
    found = listed(settings)
    if as_json:
        for key in found:
            click.echo(msgspec.json.encode(key))
        return
    show((name.replace("_", " ") for name in ListedKey.__struct_fields__), map(msgspec.structs.astuple, found))


@keys.command()
@click.option("--now", "at_once", is_flag=True, help="Sign with it at once, as after the loss of the one before.")
@settings_of_command
def rotate(settings: Settings, at_once: bool) -> None:
    """Make a new key. It is published now and signs in ten minutes; nobody is signed out."""
    starts = now() if at_once else now() + PUBLISHED_BEFORE
    made = add_key(settings, Vault.from_settings(settings), settings.signing_algorithm, starts)
    say(f"Made {made}, which signs from {starts:%Y-%m-%d %H:%M} UTC")


@keys.command()
@click.argument("id")
@settings_of_command
def withdraw(settings: Settings, id: str) -> None:
    """Believe nothing any more that the key ID has signed, as when somebody else has it."""
    withdraw_key(settings, id)
    say(f"Withdrew {id}; workers know within half a minute")


@keys.command()
@settings_of_command
def reseal(settings: Settings) -> None:
    """Seal anew with the first key of TENANTRY_KEY_ENCRYPTION_KEY what its others have sealed: they can go then.

    Before, all workers must know the first one; until then name it as the last.
    """
    found = reseal_all(settings)
    show(("column", "sealed anew", "lost"), map(msgspec.structs.astuple, found))
    if any(each.lost for each in found):
        raise click.ClickException("No key that is named opens what is lost. Name the one that sealed it as well.")


def listed(settings: Settings) -> list[ListedKey]:
    rows, moment, made = all_keys(settings), now(), []
    for row in rows:
        until = retirement_of(row, rows)
        if row.withdrawn_at is not None:
            state = "withdrawn"
        elif until is not None and until <= moment:
            state = "retired"
        elif row.signs_from > moment:
            state = "published"
        elif any(row.signs_from < other.signs_from <= moment and not other.withdrawn_at for other in rows):
            state = "verifies"
        else:
            state = "signs"
        made.append(
            ListedKey(row.id, row.algorithm, state, row.signs_from.isoformat(), until.isoformat() if until else None)
        )
    return made


commands = (keys,)
