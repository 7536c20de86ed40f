"""The command line: `tenantry …`. Litestar's own commands with this application preset, and ours."""

import os
import socket
import sys
from pathlib import Path

import rich_click as click
from advanced_alchemy.cli import add_migration_commands
from litestar.cli._utils import LitestarEnv, LitestarGroup
from litestar.cli.commands.core import info_command, routes_command
from rich.console import Console
from rich.table import Table

from tenantry.config import ConfigurationError, LoadedSettings, Settings, load_settings, masked, variable
from tenantry.db.embedded import EmbeddedPostgres, EmbeddedPostgresError
from tenantry.db.engine import DATABASE_NAME, migration_url
from tenantry.db.migrations import migration_config
from tenantry.db.provision import create_tenantry, embedded_server, provisioned
from tenantry.db.roles import MIGRATOR_ROLE, RUNTIME_ROLE, UnsafeRole

APPLICATION = "tenantry.app:create_app"
console = Console()


def say(line: str) -> None:
    console.print(line, highlight=False, markup=False)


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
    with provisioned(settings, say):
        say(f"Tenantry will answer on {settings.public_url}/docs – Ctrl-C stops it")
        uvicorn.run(
            APPLICATION,
            factory=True,
            host=settings.host,
            port=settings.port,
            workers=None if reload else settings.workers,
            reload=reload,
            reload_dirs=["features", "platform"] if reload else None,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=settings.trusted_proxies or None,
            timeout_graceful_shutdown=10,
        )
    say("Stopped.")


@click.command()
def config() -> None:
    """Show the effective settings, secrets masked, and where each comes from."""
    loaded: LoadedSettings = load_settings()
    table = Table("variable", "value", "from")
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

    settings = load_settings().settings
    with embedded_server(settings, say):
        program, url = "psql", migration_url(settings).render_as_string(hide_password=False)
        if settings.uses_embedded_database:
            server = EmbeddedPostgres(settings.home_path)
            program, url = str(server.bin_path / "psql"), server.url(user="postgres", database=DATABASE_NAME)
        command = [program, url.replace("postgresql+psycopg", "postgresql", 1), *arguments]
        code = subprocess.run(command, check=False).returncode
    sys.exit(code)


@click.group(cls=LitestarGroup, name="database")
def database(ctx: click.Context) -> None:
    """Migrations, and the creation of roles and database."""
    settings = load_settings().settings
    if ctx.invoked_subcommand != "bootstrap":
        ctx.with_resource(embedded_server(settings, say))
        ctx.obj = {"configs": [migration_config(migration_url(settings))]}


@click.command()
@click.argument("admin_url")
@click.option("--name", default=DATABASE_NAME, show_default=True, help="Name of the database.")
def bootstrap(admin_url: str, name: str) -> None:
    """Create the three roles and the database on a server of your own.

    ADMIN_URL logs in as an administrator. TENANTRY_APP_PASSWORD and TENANTRY_MIGRATOR_PASSWORD, where set, become
    the passwords of the two roles that log in.
    """
    given = {RUNTIME_ROLE: "TENANTRY_APP_PASSWORD", MIGRATOR_ROLE: "TENANTRY_MIGRATOR_PASSWORD"}
    passwords = {role: os.environ[name] for role, name in given.items() if os.environ.get(name)}
    created = create_tenantry(admin_url, name, passwords)
    say(f"{'Created' if created else 'Found'} database {name}. Next: tenantry database upgrade")


add_migration_commands(database)
database.add_command(bootstrap)
for command in (routes_command, info_command, run, config, openapi, psql, database):
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


def main() -> None:
    """Entry point: faults of the person's making end in one clear sentence instead of a traceback."""
    try:
        tenantry.main(prog_name="tenantry")
    except (ConfigurationError, EmbeddedPostgresError, UnsafeRole) as error:
        Console(stderr=True).print(str(error), style="bold red", highlight=False, markup=False)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(0)
