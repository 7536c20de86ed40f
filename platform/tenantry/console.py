"""How the commands of slices begin, reach the database, and speak to the person at the terminal."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

import msgspec
import rich_click as click
from rich.console import Console
from rich.table import Column, Table

from tenantry.config import Settings, load_settings
from tenantry.db.database import Database
from tenantry.db.provision import embedded_server
from tenantry.db.session import UnitOfWork
from tenantry.db.standalone import standalone_database

__all__ = ("begin", "checked", "console", "in_transaction", "on_database", "say", "settings_of_command", "show")

T = TypeVar("T")
console = Console()
settings_of_command = click.make_pass_decorator(Settings)


def say(line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)


def show(titles: Iterable[str], rows: Iterable[Sequence[object]]) -> None:
    """A table; what is None stays empty."""
    table = Table(*(Column(title, overflow="fold") for title in titles))
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    console.print(table)


def begin(context: click.Context) -> None:
    """For a group: its commands take the settings, and the embedded server runs while they do, where it is used."""
    context.obj = load_settings(serving=False).settings
    if {"-h", "--help"}.isdisjoint(sys.argv):
        context.with_resource(embedded_server(context.obj, say))


def checked(value: object, type_: Any) -> Any:
    """The value, converted.

    Raises:
        UsageError: it is not of that type.
    """
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        raise click.UsageError(f"{error}.") from error


def on_database(settings: Settings, work: Callable[[Database], Awaitable[T]]) -> T:
    """What the work comes to, as the runtime role."""

    async def run() -> T:
        async with standalone_database(settings) as database:
            return await work(database)

    return asyncio.run(run())


def in_transaction(settings: Settings, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
    """What the work comes to, as the runtime role and bound to no tenant."""

    async def run(database: Database) -> T:
        async with database.transaction() as unit_of_work:
            return await work(unit_of_work)

    return on_database(settings, run)
