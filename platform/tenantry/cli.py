"""The command line: `tenantry …`. Litestar's own commands with this application preset, and ours."""

import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import psycopg
import rich_click as click
from advanced_alchemy.cli import add_migration_commands
from alembic.util import CommandError
from litestar.cli._utils import LitestarEnv, LitestarGroup
from litestar.cli.commands.core import info_command, routes_command
from rich.console import Console
from rich.table import Column, Table
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

from tenantry.config import ConfigurationError, LoadedSettings, Settings, load_settings, masked, variable
from tenantry.config_example import env_example
from tenantry.console import console, say
from tenantry.db.embedded import EmbeddedPostgres, EmbeddedPostgresError
from tenantry.db.engine import DATABASE_NAME, migration_url
from tenantry.db.provision import create_tenantry, embedded_server, migration_config, provisioned
from tenantry.db.roles import MIGRATOR_ROLE, RUNTIME_ROLE, UnsafeRole
from tenantry.errors import AppError
from tenantry.feature import slice_modules
from tenantry.http.guarded import GuardedProtocol
from tenantry.observability.tracing import are_traces_wanted
from tenantry.observability.worker_metrics import worker_metrics

APPLICATION = "tenantry.serving:application"


def _environment() -> LitestarEnv:
    from tenantry.app import create_app

    return LitestarEnv(app_path=APPLICATION, app=create_app(), cwd=Path.cwd(), is_app_factory=True)


@click.group(cls=LitestarGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def tenantry(ctx: click.Context) -> None:
    """Tenantry: the multi-tenant backend."""
    ctx.obj = _environment


@click.command()
@click.option("--reload", is_flag=True, help="Restart when the code changes.")
def run(reload: bool) -> None:
    """Serve. With the embedded database: create, start and migrate it first."""
    import uvicorn

    settings = load_settings().settings
    _refuse_taken_port(settings)
    are_traces_wanted(os.environ)  # or raises, before anything starts
    workers = 1 if reload else settings.workers
    with suppress(KeyboardInterrupt), worker_metrics(workers), provisioned(settings, say):
        say(f"Tenantry will answer on {settings.base_url}/docs – Ctrl-C stops it")
        uvicorn.run(
            APPLICATION,
            factory=True,
            host=settings.host,
            port=settings.port,
            workers=None if reload else workers,
            reload=reload,
            reload_dirs=["features", "platform"] if reload else None,
            log_config=None,
            access_log=False,
            server_header=False,
            http=GuardedProtocol,
            ws="none",
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=settings.trusted_proxies or None,
            timeout_graceful_shutdown=10,
            timeout_worker_healthcheck=30,  # a worker cannot answer while it imports, and would be killed for that
        )
    say("Stopped.")


@click.command()
@click.option("--example", is_flag=True, help="Print `.env.example` instead.")
def config(example: bool) -> None:
    """Show the effective settings, secrets masked, and where each comes from."""
    if example:
        click.echo(env_example(), nl=False)
        return
    loaded: LoadedSettings = load_settings(serving=False)
    table = Table(*(Column(title, overflow="fold") for title in ("variable", "value", "from")))
    for field in Settings.__struct_fields__:
        table.add_row(variable(field), masked(field, getattr(loaded.settings, field)), loaded.origins[field])
    console.print(table)


@click.command()
@click.option("--output", type=click.Path(path_type=Path), default=Path("openapi.json"), show_default=True)
def openapi(output: Path) -> None:
    """Write the OpenAPI document."""
    import msgspec

    document = msgspec.json.format(msgspec.json.encode(_environment().app.openapi_schema.to_schema()))
    output.write_bytes(document + b"\n")
    say(f"Wrote {output}")


@click.command()
@click.argument("arguments", nargs=-1)
def psql(arguments: tuple[str, ...]) -> None:
    """Open psql: on the embedded database as its administrator, else as the migrator."""
    import subprocess

    settings = load_settings(serving=False).settings
    with embedded_server(settings, say):
        program, url = "psql", migration_url(settings)
        if settings.uses_embedded_database:
            server = EmbeddedPostgres(settings.home_path)
            program, url = str(server.bin_path / "psql"), make_url(server.url(user="postgres", database=DATABASE_NAME))
        # The password goes through the environment: everybody on the machine can read a command line.
        password = {"PGPASSWORD": url.password} if url.password else {}
        address = url.set(drivername="postgresql", password=None).render_as_string()
        code = subprocess.run([program, address, *arguments], check=False, env=os.environ | password).returncode
    sys.exit(code)


@click.command()
@click.option("--scale", type=click.FloatRange(0, 100, min_open=True), default=1.0, show_default=True)
def seed(scale: float) -> None:
    """Fill the database with believable data for development; scale 1 is 20 tenants and 10,000 projects.

    What is there already stays as it is.
    """
    import asyncio

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from tenantry import seeding

    settings = load_settings(serving=False).settings
    columns = TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with provisioned(settings, say), Progress(*columns, console=console) as progress:
        sowing = asyncio.run(seeding.seed("features", settings, scale, progress))
    added = ", ".join(f"{rows:,} {table}" for table, rows in sowing.added.items() if rows)
    say(f"Added {added}" if added else "Added nothing: all of it was there")
    say(f"Accounts to log in with, all with the password {sowing.password}")
    for account in sowing.accounts:
        say(f"  {account.email}")
        for tenant, role in account.roles.items():
            say(f"    {role} of {tenant}")


@click.command()
@click.argument("name")
@click.option("--singular", help="What one of them is called, where that is not plain from the plural.")
def feature(name: str, singular: str | None) -> None:
    """Write a new slice with five working routes: NAME is its plural, in snake_case."""
    from tenantry.scaffold import scaffold

    for file in scaffold(name, singular):
        say(f"Wrote {os.path.relpath(file)}")
    say(f'Next: just migration "{name}_create"')


@click.group(cls=LitestarGroup, name="database")
def database(ctx: click.Context) -> None:
    """Migrations, and the creation of roles and database."""
    settings = load_settings(serving=False).settings
    asks_for_help = not {"-h", "--help"}.isdisjoint(sys.argv)
    if ctx.invoked_subcommand != "bootstrap" and not asks_for_help:
        ctx.with_resource(embedded_server(settings, say))
        ctx.obj = {"configs": [migration_config(migration_url(settings))]}


@click.command()
@click.argument("admin_url")
@click.option("--name", default=DATABASE_NAME, show_default=True, help="Name of the database.")
def bootstrap(admin_url: str, name: str) -> None:
    """Create the three roles and the database on a server of your own.

    ADMIN_URL logs in as an administrator. DATABASE_APP_PASSWORD and DATABASE_MIGRATOR_PASSWORD, where set in the
    environment, become the passwords of the two roles that log in.
    """
    given = {RUNTIME_ROLE: "DATABASE_APP_PASSWORD", MIGRATOR_ROLE: "DATABASE_MIGRATOR_PASSWORD"}
    passwords = {role: os.environ[name] for role, name in given.items() if os.environ.get(name)}
    created = create_tenantry(admin_url, name, passwords)
    say(f"{'Created' if created else 'Found'} database {name}. Next: tenantry database upgrade")


add_migration_commands(database)
database.add_command(bootstrap)
for command in (routes_command, info_command, run, config, openapi, psql, seed, feature, database):
    tenantry.add_command(command)
for module in slice_modules("features", "commands"):
    for command in module.commands:
        group = tenantry.commands.get(command.name)
        if isinstance(group, click.Group):  # several slices may have something to say under one name
            for each in command.commands.values():
                group.add_command(each)
        else:
            tenantry.add_command(command)


def _refuse_taken_port(settings: Settings) -> None:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise ConfigurationError(
                f"{variable('port')}: cannot listen on {settings.host}:{settings.port}: {error.strerror}"
            ) from error


def _complain(sentence: str) -> None:
    Console(stderr=True).print(sentence, style="bold red", highlight=False, markup=False, soft_wrap=True)


def main() -> None:
    """Entry point: faults of the person's making end in one clear sentence instead of a traceback."""
    # By default SIGTERM would leave PostgreSQL running.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        tenantry.main(prog_name="tenantry")
    except (CommandError, ConfigurationError, EmbeddedPostgresError, UnsafeRole) as error:
        _complain(str(error))
        sys.exit(2)
    except AppError as error:
        _complain(f"{error} ({error.code})")
        sys.exit(1)
    except (psycopg.OperationalError, OperationalError) as error:
        _complain(f"The database does not answer: {getattr(error, 'orig', error)}")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(0)
