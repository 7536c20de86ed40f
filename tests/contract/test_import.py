"""An archive becomes a new tenant, all of it or nothing, and nothing of it reaches another one."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from psycopg import sql

from tenantry.db.database import Database
from tenantry.db.denials import QuotaExceeded
from tenantry.errors import AppError
from tenantry.ids import new_id
from tenantry.tenancy.archive import ArchiveRefused
from tenantry.tenancy.export import export
from tenantry.tenancy.importing import ImportReport, OwnerMissing, OwnerUnknown, import_tenant
from tenantry.tenancy.tables import owned_tables
from tenantry.testing import Api, TenantHandle, World
from tests.contract.test_erasure import fill
from tests.contract.test_export import Admin, admin, read

__all__ = ("admin",)

WITH_SECRETS = {"api_keys", "idempotency_keys", "invitations", "sso_connections"}
Change = Callable[[dict[str, Any]], dict[str, Any] | None]


class Import:
    """Of one file, with a slug of its own."""

    def __init__(self, database: Database, admin: Admin, path: Path) -> None:
        self.database, self.admin, self.path = database, admin, path
        self.slug = f"copy-{new_id().hex[-12:]}"

    async def of(self, content: bytes, *, plan: str = "unlimited", owner: str | None = None) -> ImportReport:
        self.path.write_bytes(content)
        return await import_tenant(self.database, self.path, slug=self.slug, plan=plan, owner=owner)

    async def refused(self, content: bytes, **options: Any) -> AppError:
        """The error, after nothing has stayed: neither the tenant nor one row more in any table."""
        before = self.all_rows()
        with pytest.raises(AppError) as refused:
            await self.of(content, **options)
        assert before == self.all_rows()
        return refused.value

    def all_rows(self) -> dict[str, int]:
        counted = {}
        for name in ("tenants", *(table.name for table in owned_tables())):
            query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name))
            counted[name] = self.admin.execute(query).fetchall()[0][0]
        return counted


@pytest.fixture
def importing(database: Database, admin: Admin, tmp_path: Path) -> Import:
    return Import(database, admin, tmp_path / "archive.zip")


async def archive_of(database: Database, tenant_id: Any) -> bytes:
    return b"".join([part async for part in export(database, tenant_id)])


def doctored(content: bytes, table: str = "", change: Change | None = None, **manifest: Any) -> bytes:
    """The archive with each row of a table changed, or left out, and with digests that fit again."""
    told, files = read(content)
    if change is not None:
        rows = [changed for line in files[table].splitlines() if (changed := change(json.loads(line)))]
        files[table] = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        told["tables"][table] = {"rows": len(rows), "sha256": hashlib.sha256(files[table]).hexdigest()}
    written = {f"{name}.ndjson": lines for name, lines in files.items()}
    return zipped(written | {"manifest.json": json.dumps(told | manifest).encode()})


def zipped(files: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return target.getvalue()


def rows_of(content: bytes) -> dict[str, list[dict[str, Any]]]:
    """Without what is another in every tenant."""
    own = {"tenant_id"}
    files = read(content)[1].items()
    return {
        name: [{key: value for key, value in json.loads(line).items() if key not in own} for line in lines.splitlines()]
        for name, lines in files
        if name != "tenants"
    }


async def test_round_trip(app: Litestar, api: Api, database: Database, importing: Import, acme: TenantHandle) -> None:
    """What is exported, imported and exported again is the same, but for rows whose secrets no archive carries."""
    await fill(app, api, acme)
    archive = await archive_of(database, acme.id)

    report = await importing.of(archive)

    before, after = rows_of(archive), rows_of(await archive_of(database, report.tenant_id))
    skipped = {name: sum(reasons.values()) for name, reasons in report.skipped.items()}
    assert [[]] * len(WITH_SECRETS) == [after[name] for name in WITH_SECRETS]
    assert {name: len(before[name]) for name in WITH_SECRETS} == skipped
    for name in before.keys() - WITH_SECRETS:
        assert before[name] == after[name]
    assert {name: len(rows) for name, rows in after.items() if name != "people"} == report.rows


async def test_people_work_in_it(api: Api, database: Database, importing: Import, acme: TenantHandle) -> None:
    """Whoever had a role has it in the copy, which is active under its own slug; the first tenant stays as it was."""
    report = await importing.of(await archive_of(database, acme.id))

    mine = (await api.as_(acme.admin).get("/tenants")).json()["items"]
    found = {(tenant["id"], tenant["slug"]): (tenant["role"], tenant["status"]) for tenant in mine}
    assert {
        (str(acme.id), acme.slug): ("admin", "active"),
        (str(report.tenant_id), importing.slug): ("admin", "active"),
    } == found


async def test_unknown_people_are_skipped(database: Database, importing: Import, acme: TenantHandle) -> None:
    """A person without an account here is no member, and the report says so; the others are."""
    known = acme.owner.email
    archive = await archive_of(database, acme.id)
    elsewhere = doctored(archive, "people", lambda row: row if row["email"] == known else stranger(row))

    report = await importing.of(elsewhere)

    assert (1, {"the person has no account here": 3}) == (report.rows["memberships"], report.skipped["memberships"])


async def test_it_has_an_owner(world: World, database: Database, importing: Import, acme: TenantHandle) -> None:
    """Without an owner who has an account there is no tenant, unless one is named."""
    archive = await archive_of(database, acme.id)
    strangers = doctored(archive, "people", stranger)
    new = await world.account()

    nobody = await importing.refused(strangers)
    unknown = await importing.refused(strangers, owner="nobody@example.com")
    report = await importing.of(strangers, owner=new.email)

    members = rows_of(await archive_of(database, report.tenant_id))["memberships"]
    assert (OwnerMissing, OwnerUnknown) == (type(nobody), type(unknown))
    assert [(str(new.id), "owner")] == [(member["user_id"], member["role"]) for member in members]


async def test_quotas_hold(app: Litestar, api: Api, database: Database, importing: Import, acme: TenantHandle) -> None:
    """What is beyond the plan of the new tenant is not let in by this door either."""
    await fill(app, api, acme)
    archive = await archive_of(database, acme.id)

    assert QuotaExceeded is type(await importing.refused(archive, plan="team"))


async def test_slug_is_its_own(database: Database, importing: Import, acme: TenantHandle) -> None:
    """A slug that another tenant has is refused."""
    importing.slug = acme.slug

    assert "tenant_slug_taken" == (await importing.refused(await archive_of(database, acme.id))).code


def stranger(person: dict[str, Any]) -> dict[str, Any]:
    """With an address that nobody has here."""
    return person | {"email": f"x{person['email']}"}


def plus(**values: Any) -> Change:
    return lambda row: row | values


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "no-zip": lambda whole: b"{}",
    "cut-off": lambda whole: whole[: len(whole) // 2],
    "without-its-end": lambda whole: whole[:-10],
    "flipped": lambda whole: whole[:100] + bytes([whole[100] ^ 1]) + whole[101:],
    "without-manifest": lambda whole: zipped({f"{name}.ndjson": lines for name, lines in read(whole)[1].items()}),
    "other-revision": lambda whole: doctored(whole, revision="0001"),
    "other-format": lambda whole: doctored(whole, format=2),
    "unknown-to-the-manifest": lambda whole: doctored(whole, more=1),
    "other-tenant": lambda whole: doctored(whole, tenant_id=str(new_id())),
    "smuggled-tenant": lambda whole: doctored(whole, "memberships", plus(tenant_id=str(new_id()))),
    "smuggled-column": lambda whole: doctored(whole, "memberships", plus(secret_hash="x")),
    "without-a-column": lambda whole: doctored(whole, "memberships", lambda row: {"id": row["id"]}),
    "same-id": lambda whole: doctored(whole, "memberships", plus(id=str(new_id()))),
    "no-uuid": lambda whole: doctored(whole, "memberships", plus(id="x'; --")),
    "no-text": lambda whole: doctored(whole, "memberships", plus(user_id=[1])),
    "no-such-role": lambda whole: doctored(whole, "memberships", plus(role="emperor")),
    "no-time": lambda whole: doctored(whole, "memberships", plus(created_at="soon")),
    "nul": lambda whole: doctored(whole, "memberships", plus(custom_role="\0", role=None)),
    "two-tenants": lambda whole: doctored(whole, "tenants", plus(id=str(new_id()))),
    "no-settings": lambda whole: doctored(whole, "tenants", plus(settings=[])),
    "no-address": lambda whole: doctored(whole, "people", plus(email=None)),
    "no-text-as-address": lambda whole: doctored(whole, "people", plus(email=[])),
    "no-tenant": lambda whole: doctored(whole, "tenants", lambda row: None),
    "changed-row": lambda whole: unsealed(whole, "memberships.ndjson", b'"viewer"', b'"owner" '),
    "wrong-count": lambda whole: unsealed(whole, "manifest.json", b'"rows": 4', b'"rows": 5'),
    "path": lambda whole: added(whole, "../../evil.ndjson"),
    "absolute-path": lambda whole: added(whole, "/etc/evil.ndjson"),
    "twice": lambda whole: added(whole, "memberships.ndjson"),
    "unknown-table": lambda whole: added(whole, "users.ndjson"),
}


def unsealed(whole: bytes, name: str, old: bytes, new: bytes) -> bytes:
    """With a file changed, and nothing else."""
    told, files = read(whole)
    stored = {f"{table}.ndjson": lines for table, lines in files.items()} | {"manifest.json": json.dumps(told).encode()}
    assert old in stored[name]
    return zipped(stored | {name: stored[name].replace(old, new)})


def added(whole: bytes, name: str) -> bytes:
    target = io.BytesIO(whole)
    with zipfile.ZipFile(target, "a") as archive:
        archive.writestr(zipfile.ZipInfo(name), b"")
    return target.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize("fault", BROKEN)
async def test_what_is_wrong_leaves_nothing(
    database: Database, importing: Import, acme: TenantHandle, fault: str
) -> None:
    """An archive that is damaged, of another schema, or that says what cannot be is refused, and nothing stays."""
    broken = BROKEN[fault](await archive_of(database, acme.id))

    error = await importing.refused(broken)

    assert isinstance(error, ArchiveRefused)
