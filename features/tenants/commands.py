"""What operators do with tenants. They are found as the migrator; everything is done as the runtime role."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import rich_click as click

from features.tenants.dtos import Slug, TenantCreate
from features.tenants.errors import PersonNotFound
from features.tenants.models import TenantRow
from features.tenants.repository import TenantRepository
from features.tenants.service import TenantService
from tenantry.clock import now
from tenantry.config import ConfigurationError, Settings, variable
from tenantry.console import begin, checked, in_transaction, on_database, say, settings_of_command, show
from tenantry.db.database import Database
from tenantry.db.session import UnitOfWork
from tenantry.plans import Plan
from tenantry.security.tokens import TokenService
from tenantry.signing.store import hold_stored_keys
from tenantry.tenancy.directory import KnownTenant, all_tenants, tenant_called
from tenantry.tenancy.erasure import erase
from tenantry.tenancy.export import export
from tenantry.tenancy.importing import import_tenant
from tenantry.tenancy.people import person_with

REPORT = click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to add the signed report to; else it is printed.",
)


@click.group()
@click.pass_context
def tenants(context: click.Context) -> None:
    """Tenants: list, create, suspend, delete, erase, export, import."""
    begin(context)


@tenants.command("list")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each.")
@settings_of_command
def list_(settings: Settings, as_json: bool) -> None:
    """All tenants, by slug."""
    found = all_tenants(settings)
    if as_json:
        for tenant in found:
            click.echo(msgspec.json.encode(tenant))
        return
    show(
        ("slug", "name", "status", "plan", "restorable until"),
        (
            (
                tenant.slug,
                tenant.name,
                tenant.status,
                tenant.plan,
                tenant.erase_after and f"{tenant.erase_after:%F %H:%M}",
            )
            for tenant in found
        ),
    )


@tenants.command()
@click.argument("slug")
@click.option("--name", required=True)
@click.option("--owner", required=True, help="E-mail address of an account.")
@click.option("--plan", type=click.Choice([*Plan]), help="Else that of TENANTRY_DEFAULT_PLAN.")
@settings_of_command
def create(settings: Settings, slug: str, name: str, owner: str, plan: str | None) -> None:
    """Create a tenant for an owner who has an account."""
    data: TenantCreate = checked({"name": name, "slug": slug}, TenantCreate)

    async def found(unit_of_work: UnitOfWork) -> None:
        person = await person_with(unit_of_work, owner)
        if person is None:
            raise PersonNotFound
        chosen = msgspec.structs.replace(settings, default_plan=plan or settings.default_plan)
        await TenantService(unit_of_work, chosen).found(data, person)

    in_transaction(settings, found)
    say(f"Created {slug}")


@tenants.command()
@click.argument("slug")
@settings_of_command
def suspend(settings: Settings, slug: str) -> None:
    """Lock everybody out, at once, until it is resumed."""
    alter(settings, slug, TenantRow.suspend)
    say(f"Suspended {slug}")


@tenants.command()
@click.argument("slug")
@settings_of_command
def resume(settings: Settings, slug: str) -> None:
    """Let people in again."""
    alter(settings, slug, TenantRow.resume)
    say(f"Resumed {slug}")


@tenants.command("plan")
@click.argument("slug")
@click.argument("plan", type=click.Choice([*Plan]))
@settings_of_command
def plan_(settings: Settings, slug: str, plan: str) -> None:
    """Put a tenant on a plan. What it has beyond that stays, and nothing can be added."""
    alter(settings, slug, lambda tenant: setattr(tenant, "plan", plan))
    say(f"Put {slug} on {plan}")


@tenants.command()
@click.argument("slug")
@settings_of_command
def restore(settings: Settings, slug: str) -> None:
    """Take a deletion back, within the grace."""
    alter(settings, slug, TenantRow.restore)
    say(f"Restored {slug}")


@tenants.command()
@click.argument("slug")
@click.option("--now", "at_once", is_flag=True, help="Erase it without a grace. Nothing brings it back.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@REPORT
@settings_of_command
def delete(settings: Settings, slug: str, at_once: bool, yes: bool, report: Path | None) -> None:
    """Lock everybody out, and let the tenant be erased after TENANTRY_TENANT_GRACE_DAYS."""
    tenant = tenant_called(settings, slug)
    if at_once and not yes:
        click.confirm(f"Erase {slug} ({tenant.name}) and all that it has, for ever?", abort=True)
    tokens = signer(settings) if at_once else None
    grace = timedelta(days=0 if at_once else settings.tenant_grace_days)
    alter(settings, slug, lambda row: row.schedule_erasure(grace))
    if tokens is not None:
        erase_all(settings, [tenant], tokens, report)
    else:
        say(f"{slug} can be restored for {grace.days} days; `tenantry tenants erase` then erases it")


@tenants.command("erase")
@REPORT
@settings_of_command
def erase_(settings: Settings, report: Path | None) -> None:
    """Erase all tenants whose grace is over. It can be repeated, and be run by a timer."""
    moment = now()
    erase_all(settings, [tenant for tenant in all_tenants(settings) if tenant.is_due(moment)], signer(settings), report)


@tenants.command("export")
@click.argument("slug")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@settings_of_command
def export_(settings: Settings, slug: str, file: Path) -> None:
    """Write all data of a tenant into a zip: a file for each table, and a manifest."""
    tenant = tenant_called(settings, slug)

    async def write(database: Database) -> None:
        draft = file.with_name(f".{file.name}.part")
        try:
            with draft.open("wb") as output:
                async for part in export(database, tenant.id):
                    output.write(part)
            draft.replace(file)
        finally:
            draft.unlink(missing_ok=True)

    on_database(settings, write)
    say(f"Wrote {file}")


@tenants.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--slug", required=True, help="Of the tenant that it becomes.")
@click.option("--owner", help="E-mail address of an account that is to own it, beside the owners it had.")
@click.option("--plan", type=click.Choice([*Plan]), help="Else that of TENANTRY_DEFAULT_PLAN.")
@settings_of_command
def import_(settings: Settings, file: Path, slug: str, owner: str | None, plan: str | None) -> None:
    """Make a new tenant of an export. People are found by their addresses; whoever has no account is left out."""
    checked(slug, Slug)
    chosen = str(plan or settings.default_plan)
    report = on_database(settings, partial(import_tenant, path=file, slug=slug, plan=chosen, owner=owner))
    say(f"Created {slug}: {', '.join(f'{rows} {table}' for table, rows in report.rows.items() if rows)}")
    for table, reasons in report.skipped.items():
        for reason, rows in reasons.items():
            say(f"Left out {rows} {table}: {reason}")


def signer(settings: Settings) -> TokenService:
    """
    Raises:
        ConfigurationError: production would sign with a key that development makes up.
    """
    if settings.is_production and settings.token_private_key is None:
        raise ConfigurationError(f"{variable('token_private_key')}: needed to sign the report")
    return TokenService.from_settings(settings)


async def erase_signed(settings: Settings, tenant: KnownTenant, tokens: TokenService, database: Database) -> str:
    await hold_stored_keys(tokens.keys, settings, database)
    return await erase(database, tenant.id, tokens)


def erase_all(settings: Settings, due: list[KnownTenant], tokens: TokenService, report: Path | None) -> None:
    for tenant in due:
        signed = on_database(settings, partial(erase_signed, settings, tenant, tokens))
        if report is None:
            click.echo(signed)
        else:
            with report.open("a") as file:
                file.write(f"{signed}\n")
        click.echo(f"Erased {tenant.slug}", err=True)
    if not due:
        click.echo("No tenant is due", err=True)


def alter(settings: Settings, slug: str, rule: Callable[[TenantRow], None]) -> None:
    tenant = tenant_called(settings, slug)

    async def apply(unit_of_work: UnitOfWork) -> None:
        await unit_of_work.bind_tenant(tenant.id)
        await TenantRepository(unit_of_work).alter(tenant.id, rule)

    in_transaction(settings, apply)


commands: list[Any] = [tenants]
