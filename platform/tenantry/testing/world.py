"""Tenants and accounts for tests. They are written directly, so that a test pays only for what it is about."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import jwt
from polyfactory.factories.sqlalchemy_factory import SQLAlchemyFactory
from sqlalchemy import LargeBinary, Text, bindparam, insert, text
from sqlalchemy.dialects.postgresql import ARRAY

from tenantry.clock import now
from tenantry.db.database import Database
from tenantry.ids import new_id
from tenantry.security.api_keys import new_key
from tenantry.security.permissions import Role
from tenantry.security.principal import KeyClaim, Principal
from tenantry.security.tokens import TokenService

__all__ = ("PASSWORD", "Account", "Key", "TenantHandle", "World", "subject_of")

PASSWORD = "correct horse battery staple"
INSERT_USER = text(
    "INSERT INTO users (id, email, name, password_hash, created_at, updated_at)"
    " VALUES (:user_id, :email, :name, :password_hash, :now, :now)"
)
INSERT_SESSION = text(
    "INSERT INTO sessions (id, user_id, tenant_id, user_agent, created_at, last_used_at, authenticated_at, expires_at,"
    " ends_at) VALUES (:session_id, :user_id, :tenant_id, 'tests', :now, :now, :now, :expires_at, :expires_at)"
)
INSERT_TENANT = text(
    "INSERT INTO tenants (id, name, slug, status, plan, settings, created_at, updated_at)"
    " VALUES (:tenant_id, :name, :slug, 'active', 'unlimited', '{}', :now, :now)"
)
INSERT_MEMBERSHIP = text(
    "INSERT INTO memberships (id, user_id, role, created_at, updated_at) VALUES (:id, :user_id, :role, :now, :now)"
)
INSERT_SERVICE_ACCOUNT = text(
    "INSERT INTO service_accounts (id, name, created_at, updated_at) VALUES (:id, :name, :now, :now)"
)
INSERT_ITS_MEMBERSHIP = text(
    "INSERT INTO memberships (id, service_account_id, role, created_at, updated_at)"
    " VALUES (:id, :service_account_id, :role, :now, :now)"
)
INSERT_KEY = text(
    "INSERT INTO api_keys (id, subject_id, name, hint, secret_hash, scopes, created_by, created_at, updated_at)"
    " VALUES (:id, :subject_id, 'tests', :hint, :secret_hash, :scopes, :subject_id, :now, :now)"
).bindparams(bindparam("scopes", type_=ARRAY(Text())), bindparam("secret_hash", type_=LargeBinary()))


def subject_of(access_token: str) -> UUID:
    """Whom a token speaks for."""
    return UUID(jwt.decode(access_token, options={"verify_signature": False})["sub"])


@dataclass(frozen=True)
class Key:
    """An API key; `api.bearing(key.text)` uses it."""

    id: UUID
    text: str
    principal: Principal
    """Whom a token that was issued for it speaks for."""


@dataclass(frozen=True)
class Account:
    id: UUID
    email: str
    session_id: UUID
    tenant_id: UUID | None
    token: str
    password: str = PASSWORD


class World:
    def __init__(self, database: Database, tokens: TokenService, password_hash: str) -> None:
        self.database, self.tokens, self.password_hash = database, tokens, password_hash

    async def account(self, name: str = "ada", *, tenant_id: UUID | None = None) -> Account:
        """Someone with a confirmed address and a live session."""
        moment = now()
        principal = Principal(new_id(), new_id(), tenant_id, authenticated_at=moment)
        email = f"{name}-{principal.subject_id.hex[-12:]}@example.com"
        values = {
            "user_id": principal.subject_id,
            "session_id": principal.session,
            "tenant_id": tenant_id,
            "email": email,
            "name": name.title(),
            "password_hash": self.password_hash,
            "now": moment,
            "expires_at": moment + timedelta(days=1),
        }
        async with self.database.transaction() as unit_of_work:
            for statement in (INSERT_USER, INSERT_SESSION):
                await unit_of_work.execute(statement.bindparams(**{k: values[k] for k in statement.compile().params}))
        return Account(principal.subject_id, email, principal.session, tenant_id, self.tokens.issue(principal))

    async def tenant(self, name: str = "acme") -> "TenantHandle":
        """A tenant with one account of each role."""
        tenant_id = new_id()
        slug = f"{name}-{tenant_id.hex[-12:]}"
        async with self.database.transaction() as unit_of_work:
            await unit_of_work.bind_tenant(tenant_id)
            await unit_of_work.execute(
                INSERT_TENANT.bindparams(tenant_id=tenant_id, name=name.title(), slug=slug, now=now())
            )
        accounts = {role: await self.account(role.name, tenant_id=tenant_id) for role in Role}
        tenant = TenantHandle(tenant_id, name.title(), slug, accounts, self.database)
        for role, account in accounts.items():
            await tenant.admit(account, role)
        return tenant


@dataclass(frozen=True)
class TenantHandle:
    id: UUID
    name: str
    slug: str
    accounts: dict[Role, Account]
    database: Database

    @property
    def owner(self) -> Account:
        return self.accounts[Role.owner]

    @property
    def admin(self) -> Account:
        return self.accounts[Role.admin]

    @property
    def member(self) -> Account:
        return self.accounts[Role.member]

    @property
    def viewer(self) -> Account:
        return self.accounts[Role.viewer]

    async def admit(self, account: Account, role: Role) -> None:
        await self.run(INSERT_MEMBERSHIP.bindparams(id=new_id(), user_id=account.id, role=role.name, now=now()))

    async def service_account(self, role: Role) -> UUID:
        """A new one in this role."""
        id = new_id()
        await self.run(INSERT_SERVICE_ACCOUNT.bindparams(id=id, name=f"robot {id}", now=now()))
        await self.run(INSERT_ITS_MEMBERSHIP.bindparams(id=new_id(), service_account_id=id, role=role.name, now=now()))
        return id

    async def key(self, subject_id: UUID, scopes: Iterable[str]) -> Key:
        """An API key of a member, who may be a person or a service account."""
        id = new_id()
        made = new_key(self.id, subject_id, id)
        values = {"secret_hash": made.secret_hash, "hint": made.hint, "scopes": sorted(scopes), "now": now()}
        await self.run(INSERT_KEY.bindparams(id=id, subject_id=subject_id, **values))
        return Key(id, made.text, Principal(subject_id, None, self.id, KeyClaim(id, secret_hash=None)))

    async def run(self, statement: Any) -> None:
        """Execute a statement as this tenant."""
        async with self.database.transaction() as unit_of_work:
            await unit_of_work.bind_tenant(self.id)
            await unit_of_work.execute(statement)

    async def scalar(self, statement: Any) -> Any:
        """The value that a statement asks for, as this tenant sees it."""
        async with self.database.transaction() as unit_of_work:
            await unit_of_work.bind_tenant(self.id)
            return await unit_of_work.scalar(statement)

    async def has(self, factory: type[SQLAlchemyFactory[Any]], **values: Any) -> Any:
        """A row of this tenant, as the slice's factory builds it."""
        row = factory.build(**values)
        columns = {key: value for key, value in vars(row).items() if key not in ("_sa_instance_state", "tenant_id")}
        await self.run(insert(type(row)).values(columns))
        return row
