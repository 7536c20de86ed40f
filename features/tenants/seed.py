"""Tenants, each with an owner, and people who belong to several in different roles."""

import re
from datetime import datetime, timedelta
from random import Random

from faker import Faker
from msgspec import Struct
from polyfactory.decorators import post_generated
from polyfactory.factories.msgspec_factory import MsgspecFactory

from features.tenants.models import MembershipRow, TenantRow
from tenantry.security.permissions import Role
from tenantry.seeding import Account, Seeder, Seeding, Sown

TENANTS, LEAST_TENANTS = 20, 3
DAY_SECONDS = 86_400
FIRST_USERS: tuple[dict[int, Role], ...] = (
    {0: Role.owner},
    {0: Role.member, 1: Role.admin, 2: Role.viewer},
    {1: Role.viewer},
)
"""The accounts to log in with: what each is, by the number of the tenant."""
Roles = dict[Sown, dict[Sown, Role]]


class Company(Struct):
    number: int
    name: str
    slug: str


class CompanyFactory(MsgspecFactory[Company]):
    __faker__ = Faker("en_US")

    @classmethod
    def name(cls) -> str:
        return cls.__faker__.company()

    @post_generated
    @classmethod
    def slug(cls, name: str, number: int) -> str:
        return f"{re.sub(r'[^a-z]+', '-', name.lower())[:50].strip('-')}-{number}"


async def sow(seeding: Seeding) -> None:
    companies = []
    for number, since in seeding.numbers(TENANTS, least=LEAST_TENANTS):
        CompanyFactory.seed_random(number)
        companies.append((CompanyFactory.build(number=number), since))
    tenants = [Sown(seeding.id("tenants", company.number), company.name, since) for company, since in companies]
    seeding.sown["tenants"] = tenants
    roles = roles_of(seeding)
    seeding.expect(len(tenants) + sum(map(len, roles.values())))
    for tenant, (company, _) in zip(tenants, companies, strict=True):
        await sow_tenant(seeding, tenant, company, roles[tenant])
    for user in seeding.sown["users"][: len(FIRST_USERS)]:
        held = {tenant.name: members[user].name for tenant, members in roles.items() if user in members}
        seeding.accounts.append(Account(user.name, held))


async def sow_tenant(seeding: Seeding, tenant: Sown, company: Company, members: dict[Sown, Role]) -> None:
    random = seeding.random("founded", tenant.id)
    founded = seeding.today - timedelta(seconds=random.randrange(735 * DAY_SECONDS, 900 * DAY_SECONDS))
    times = {"created_at": founded, "updated_at": founded}
    async with seeding.database.transaction() as unit_of_work:
        await unit_of_work.bind_tenant(tenant.id)
        tenant_row = {
            "id": tenant.id,
            "name": company.name,
            "slug": company.slug,
            "status": "active",
            "plan": "unlimited",
            "settings": {},
            **times,
        }
        await seeding.insert(unit_of_work, TenantRow, [tenant_row])
        rows = [membership(seeding, tenant, user, role, founded) for user, role in members.items()]
        await seeding.insert(unit_of_work, MembershipRow, rows)


def membership(seeding: Seeding, tenant: Sown, user: Sown, role: Role, founded: datetime) -> dict[str, object]:
    key = f"{tenant.id}/{user.id}"
    waited = 0.0 if role is Role.owner else seeding.random("joined", key).random()
    joined = founded + (seeding.today - founded) * waited
    id = seeding.id("memberships", key)
    return {"id": id, "user_id": user.id, "role": role.name, "created_at": joined, "updated_at": joined}


def roles_of(seeding: Seeding) -> Roles:
    """Who is what in which tenant. Whatever scale first has both the tenant and the user decides it for all."""
    tenants, users = seeding.sown["tenants"], seeding.sown["users"]
    roles: Roles = {tenant: {} for tenant in tenants}
    for user, held in zip(users, FIRST_USERS, strict=False):
        for number, role in held.items():
            roles[tenants[number]][user] = role
    owners = set(users[: len(FIRST_USERS)])
    for tenant in tenants[1:]:
        founders = [user for user in seeding.known("users", tenant.since) if user not in owners]
        owner = seeding.random("owner", tenant.id).choice(founders)
        owners.add(owner)
        roles[tenant][owner] = Role.owner
    for user in users[len(FIRST_USERS) :]:
        random = seeding.random("memberships", user.id)
        for tenant in joined_by(random, seeding.known("tenants", user.since)):
            roles[tenant].setdefault(user, random.choices((Role.viewer, Role.member, Role.admin), (3, 5, 2))[0])
    return roles


def joined_by(random: Random, tenants: list[Sown]) -> list[Sown]:
    count = random.choices((1, 2, 3, 4, 5), (1, 3, 3, 2, 1))[0]
    return random.sample(tenants, min(count, len(tenants)))


seeder = Seeder("tenants", sow, after=("accounts",))
