"""What operators say of domains. They write as the owner of the tables: the service can only read whose a domain is."""

from typing import Any

import rich_click as click
from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from features.sso_connections.dtos import Domain
from features.sso_connections.errors import DomainConfirmedElsewhere
from features.sso_connections.models import DomainRow
from tenantry.clock import now
from tenantry.config import Settings
from tenantry.console import begin, checked, say, settings_of_command, show
from tenantry.tenancy.directory import all_tenants, as_owner, tenant_called


@click.group()
@click.pass_context
def sso(context: click.Context) -> None:
    """Single sign-on: domains that are confirmed to be a tenant's."""
    begin(context)


@sso.command("confirm-domain")
@click.argument("domain")
@click.option("--tenant", "slug", required=True, help="Slug of the tenant whose domain it is.")
@settings_of_command
def confirm_domain(settings: Settings, domain: str, slug: str) -> None:
    """Say that a domain is a tenant's. See to it first, as by a record that its owner has to put into the DNS.

    Whoever has an address of it can then get an account by that tenant's identity provider, and nobody else's.
    """
    name, tenant = str(checked(domain.lower(), Domain)), tenant_called(settings, slug)
    adding = insert(DomainRow).values(domain=name, tenant_id=tenant.id, confirmed_at=now())
    with as_owner(settings, writes=True) as connection:
        connection.execute(adding.on_conflict_do_nothing())
        holder = connection.scalar(select(DomainRow.tenant_id).where(DomainRow.domain == name))
    if holder != tenant.id:
        raise DomainConfirmedElsewhere
    say(f"Confirmed {name} for {slug}")


@sso.command("withdraw-domain")
@click.argument("domain")
@settings_of_command
def withdraw_domain(settings: Settings, domain: str) -> None:
    """Take a confirmation back. Accounts and sessions that came by it stay."""
    name = str(checked(domain.lower(), Domain))
    with as_owner(settings, writes=True) as connection:
        connection.execute(delete(DomainRow).where(DomainRow.domain == name))
    say(f"Withdrew {name}")


@sso.command()
@settings_of_command
def domains(settings: Settings) -> None:
    """All that are confirmed."""
    slugs = {tenant.id: tenant.slug for tenant in all_tenants(settings)}
    chosen = select(DomainRow.domain, DomainRow.tenant_id, func.date(DomainRow.confirmed_at))
    with as_owner(settings) as connection:
        found = connection.execute(chosen.order_by(DomainRow.domain)).all()
    show(
        ("domain", "tenant", "confirmed"),
        ((domain, slugs.get(tenant_id, tenant_id), since) for domain, tenant_id, since in found),
    )


commands: list[Any] = [sso]
