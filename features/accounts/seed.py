"""People to log in as, already confirmed, who share one password that this home folder keeps."""

import re
import secrets
from datetime import timedelta
from pathlib import Path
from unicodedata import normalize

from faker import Faker
from msgspec import Struct
from polyfactory.decorators import post_generated
from polyfactory.factories.msgspec_factory import MsgspecFactory
from sqlalchemy import select, update

from features.accounts.models import UserRow
from tenantry.security.passwords import PasswordService
from tenantry.seeding import Seeder, Seeding, Sown

USERS, LEAST_USERS = 200, 10
# No mail reaches a name under .example, so none of these is the address of a person.
DOMAIN = "seed.example"
LOCALES = ["en_US", "es_ES", "sv_SE"]


class Person(Struct):
    number: int
    name: str
    email: str


class PersonFactory(MsgspecFactory[Person]):
    __faker__ = Faker(LOCALES)

    @classmethod
    def name(cls) -> str:
        locale = cls.__faker__[cls.__random__.choice(LOCALES)]
        return f"{locale.first_name()} {locale.last_name()}"

    @post_generated
    @classmethod
    def email(cls, name: str, number: int) -> str:
        ascii_name = normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
        return f"{re.sub(r'[^a-z]+', '.', ascii_name).strip('.')}.{number}@{DOMAIN}"


async def sow(seeding: Seeding) -> None:
    seeding.password = kept_password(seeding.settings.home_path / "seed-password")
    people = []
    for number, since in seeding.numbers(USERS, least=LEAST_USERS):
        PersonFactory.seed_random(number)
        people.append((PersonFactory.build(number=number), since))
    seeding.sown["users"] = [Sown(seeding.id("users", p.number), p.email, since) for p, since in people]
    seeding.expect(len(people))
    password_hash, stale = await shared_hash(seeding)
    async with seeding.database.transaction() as unit_of_work:
        if stale:
            of_seed = UserRow.email.endswith(f"@{DOMAIN}")
            await unit_of_work.execute(update(UserRow).where(of_seed).values(password_hash=password_hash))
        await seeding.insert(unit_of_work, UserRow, [row(seeding, p, password_hash) for p, _ in people])


async def shared_hash(seeding: Seeding) -> tuple[str, bool]:
    """The hash of the password, and whether the users that are there have that of another one."""
    first = select(UserRow.password_hash).where(UserRow.id == seeding.id("users", 0))
    async with seeding.database.transaction() as unit_of_work:
        stored: str | None = await unit_of_work.scalar(first)
    passwords = PasswordService(seeding.settings, threads=1)
    try:
        if stored is not None and await passwords.verify(seeding.password, stored):
            return stored, False
        return await passwords.hash(seeding.password), stored is not None
    finally:
        passwords.close()


def row(seeding: Seeding, person: Person, password_hash: str) -> dict[str, object]:
    joined = seeding.today - timedelta(
        minutes=seeding.random("joined", person.number).randrange(900 * 1440, 1095 * 1440)
    )
    return {
        "id": seeding.id("users", person.number), "email": person.email, "name": person.name,
        "password_hash": password_hash, "created_at": joined, "updated_at": joined,
    }  # fmt: skip


def kept_password(path: Path) -> str:
    """The one that the file holds; without a file a new one, which it then holds."""
    if path.is_file() and (kept := path.read_text().strip()):
        return kept
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    draft.touch(mode=0o600)
    draft.write_text(password := secrets.token_urlsafe(16))
    draft.replace(path)
    return password


seeder = Seeder("accounts", sow)
