"""Projects: many in tenants that have been there for long, few in the young ones."""

from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from itertools import count

from faker import Faker
from polyfactory.factories.msgspec_factory import MsgspecFactory
from polyfactory.field_meta import FieldMeta

from features.projects.dtos import ProjectCreate
from features.projects.models import ProjectRow
from tenantry.seeding import Seeder, Seeding, Sown

PROJECTS = 10_000
TWO_YEARS_SECONDS = 730 * 86_400
ARCHIVED_SHARE = 0.15
CODE_NAMES = (
    "Apollo", "Aurora", "Beacon", "Borealis", "Cascade", "Cobalt", "Compass", "Coral", "Delta", "Ember", "Falcon",
    "Gemini", "Granite", "Harbor", "Horizon", "Iris", "Juniper", "Kestrel", "Lantern", "Lotus", "Maple", "Mercury",
    "Meridian", "Mosaic", "Nimbus", "Nova", "Orchid", "Orion", "Pioneer", "Polaris", "Quartz", "Raven", "Saffron",
    "Sequoia", "Summit", "Tango", "Tundra", "Vega", "Willow", "Zephyr",
)  # fmt: skip
SUBJECTS = (
    "Analytics", "Billing", "Booking", "Catalogue", "Checkout", "Compliance", "Customer", "Data", "Delivery",
    "Identity", "Inventory", "Invoice", "Logistics", "Loyalty", "Mobile", "Partner", "Payments", "Payroll", "Pricing",
    "Reporting", "Returns", "Search", "Supplier", "Support", "Warehouse",
)  # fmt: skip
KINDS = (
    "App", "Assistant", "Console", "Dashboard", "Engine", "Gateway", "Hub", "Integration", "Migration", "Pilot",
    "Platform", "Portal", "Redesign", "Relaunch", "Rollout", "Service", "Suite", "Upgrade",
)  # fmt: skip


class ProjectFactory(MsgspecFactory[ProjectCreate]):
    __faker__ = Faker("en_US")

    @classmethod
    @cache
    def get_model_fields(cls) -> list[FieldMeta]:
        """The same for every project; finding them anew takes six times as long as the rest of the building."""
        return super().get_model_fields()

    @classmethod
    def name(cls) -> str:
        return " ".join(cls.__random__.choice(words) for words in (CODE_NAMES, SUBJECTS, KINDS))

    @classmethod
    def description(cls) -> str:
        if cls.__random__.random() < 0.1:
            return ""
        return f"{cls.__faker__.bs().capitalize()} for the {cls.__random__.choice(SUBJECTS).lower()} team."


async def sow(seeding: Seeding) -> None:
    shares = shares_of(seeding)
    seeding.expect(sum(map(len, shares.values())))
    for tenant, numbers in shares.items():
        async with seeding.database.transaction() as unit_of_work:
            await unit_of_work.bind_tenant(tenant.id)
            await seeding.insert(unit_of_work, ProjectRow, rows(seeding, numbers))


def shares_of(seeding: Seeding) -> dict[Sown, list[int]]:
    """The numbers of each tenant's projects: every project picks one of the tenants that were there before it."""
    shares: dict[Sown, list[int]] = {tenant: [] for tenant in seeding.sown["tenants"]}
    for number, since in seeding.numbers(PROJECTS):
        tenant = seeding.random("tenant of project", number).choice(seeding.known("tenants", since))
        shares[tenant].append(number)
    return shares


def rows(seeding: Seeding, numbers: list[int]) -> Iterator[dict[str, object]]:
    """Of one tenant, in which names are unique."""
    names: set[str] = set()
    for number in numbers:
        ProjectFactory.seed_random(number)
        project = ProjectFactory.build()
        candidates = (project.name if again == 1 else f"{project.name} {again}" for again in count(1))
        name = next(candidate for candidate in candidates if candidate not in names)
        names.add(name)
        random = ProjectFactory.__random__
        age = random.randrange(TWO_YEARS_SECONDS)
        created = seeding.today - timedelta(seconds=age)
        updated = created + timedelta(seconds=random.randrange(age + 1))
        archived = updated if random.random() < ARCHIVED_SHARE else None
        yield {
            "id": seeding.id("projects", number), "name": name, "description": project.description,
            "archived_at": archived, "created_at": created, "updated_at": updated,
        }  # fmt: skip


seeder = Seeder("projects", sow, after=("tenants",))
