"""Every secret that the service makes up: how random it is, and what the database tells of it."""

from base64 import b32decode, urlsafe_b64decode

import psycopg
import pytest
from psycopg import sql

from tenantry.ids import new_id
from tenantry.testing import PASSWORD, Account, Api, Mailbox, TenantHandle
from tenantry.testing.databases import DatabaseUrls

LEAST_BITS = 128
KNOWN = {"invitation": 16, "API key": 48}
"""Bytes that say whom a secret is of, or of which tenant."""
CHECKSUM = {"API key": 4}


async def made_for(api: Api, tenant: TenantHandle, account: Account, mailbox: Mailbox) -> dict[str, str]:
    """One of each kind."""
    email, login = f"new-{new_id().hex}@example.com", {"email": account.email, "password": account.password}
    person, owner = api.as_(account), api.as_(tenant.owner)
    found = {"refresh token": (await api.post("/auth/login", json=login)).json()["refresh_token"]}
    await api.post("/auth/signup", json={"email": email, "password": PASSWORD, "name": "Grace"})
    found["link to confirm an address"] = mailbox.token(email)
    await owner.post("/invitations", json={"email": email, "role": "member"})
    found["invitation"] = mailbox.token(email)
    await api.post("/auth/password/forgot", json={"email": account.email})
    found["link to a password"] = mailbox.token(account.email)
    await person.post("/me/email", json={"email": f"moved-{email}"})
    found["link to a new address"] = mailbox.token(f"moved-{email}")
    key = await person.post("/api-keys", json={"name": email, "scopes": ["tenants:read"]})
    found["API key"] = key.json()["key"].removeprefix("tny_")
    options = (await person.post("/auth/passkeys/options")).json()["public_key"]
    found["challenge of a passkey"] = options["challenge"]
    found["app"] = (await person.post("/auth/mfa/totp")).json()["secret"]
    return found


def raw(kind: str, secret: str) -> bytes:
    return b32decode(secret) if kind == "app" else urlsafe_b64decode(secret + "=" * (-len(secret) % 4))


def random_bits(kind: str, secret: str) -> int:
    return 8 * (len(raw(kind, secret)) - KNOWN.get(kind, 0) - CHECKSUM.get(kind, 0))


def whole(urls: DatabaseUrls) -> str:
    """All rows of all tables, as anybody reads them who has the database."""
    with psycopg.connect(urls.conninfo) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        rows = sql.SQL("SELECT string_agg(t::text, ' ') FROM {} t")
        read = [connection.execute(rows.format(sql.Identifier(name))).fetchall() for (name,) in tables]
    return " ".join(text for ((text,),) in read if text)


@pytest.mark.asvs("6.5.3", "6.5.4", "11.5.1")
async def test_secrets_are_random_and_not_kept(
    api: Api, acme: TenantHandle, mailbox: Mailbox, database_urls: DatabaseUrls
) -> None:
    """Each kind has 128 random bits or more, no two are alike, and none can be read in the database."""
    made = [await made_for(api, acme, account, mailbox) for account in (acme.admin, acme.member)]
    secrets = [(kind, text) for each in made for kind, text in each.items()]
    database = whole(database_urls)
    forms = [(kind, form) for kind, text in secrets for form in (text, text.encode().hex(), raw(kind, text).hex())]

    assert 16 == len({text for _, text in secrets})
    assert [] == [(kind, bits) for kind, text in secrets if (bits := random_bits(kind, text)) < LEAST_BITS]
    assert str(acme.admin.id) in database
    assert [] == [kind for kind, form in forms if form in database]
