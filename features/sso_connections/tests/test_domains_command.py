"""Operators confirm domains; the service only reads them."""

import pytest
from click.testing import CliRunner, Result

from features.sso_connections.commands import sso
from tenantry.config import Settings, variable
from tenantry.ids import new_id
from tenantry.testing import Api, TenantHandle


def run(settings: Settings, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    for field in ("database_url", "migration_database_url", "home"):
        monkeypatch.setenv(variable(field), getattr(settings, field))
    return CliRunner().invoke(sso, arguments)


async def test_a_domain_is_one_tenants(
    api: Api, acme: TenantHandle, globex: TenantHandle, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is confirmed is shown; another tenant gets it only after it was withdrawn."""
    domain = f"d{new_id().hex}.example"
    connection = {"name": "x", "issuer": "https://idp.example", "client_id": "x", "client_secret": "x"}
    made = await api.as_(acme.admin).post(
        "/sso/connections", json=connection | {"default_role": "member", "domains": [domain]}
    )

    confirmed = run(settings, monkeypatch, "confirm-domain", domain.upper(), "--tenant", acme.slug)
    again = run(settings, monkeypatch, "confirm-domain", domain, "--tenant", acme.slug)
    shown = await api.as_(acme.admin).get(f"/sso/connections/{made.json()['id']}")
    listed = run(settings, monkeypatch, "domains")
    stolen = run(settings, monkeypatch, "confirm-domain", domain, "--tenant", globex.slug)
    withdrawn = run(settings, monkeypatch, "withdraw-domain", domain)
    moved = run(settings, monkeypatch, "confirm-domain", domain, "--tenant", globex.slug)
    gone = await api.as_(acme.admin).get(f"/sso/connections/{made.json()['id']}")

    assert [0] * 5 == [each.exit_code for each in (confirmed, again, listed, withdrawn, moved)]
    assert stolen.exit_code != 0
    assert [domain] == shown.json()["confirmed_domains"]
    assert [] == gone.json()["confirmed_domains"]


def test_a_wrong_domain_is_refused(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is written."""
    refused = run(settings, monkeypatch, "confirm-domain", "not a domain", "--tenant", "acme")

    assert 2 == refused.exit_code
