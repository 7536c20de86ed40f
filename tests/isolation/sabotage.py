"""Ways to break isolation on purpose, each of which the proofs must notice. A plugin of pytest applies one of them:

    pytest -p tests.isolation.sabotage --sabotage "cache keys forget the tenant" tests/contract/test_cache.py

`tests/isolation/prove.py` tries them all. What is generated here from the database, no list has to name.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch
from uuid import UUID

import jwt
import psycopg
import pytest

from tenantry.testing.databases import DatabaseUrls, TestDatabases
from tests.isolation import broken_logins
from tests.isolation.catalogue import TENANT_COLUMN, metadata_tables

__all__ = ("IN_CODE", "Sabotage", "in_the_database")

ROWS = (
    "tests/isolation/test_unit_of_work.py",
    "tests/isolation/test_two_tenants.py",
    "tests/isolation/test_two_machines.py",
)
REQUESTS = (
    "tests/isolation/test_questions.py",
    "tests/isolation/test_principals.py",
    "tests/isolation/test_lazy_authorization.py",
)
DERIVED = (
    "tests/isolation/test_derived_permissions.py",
    "tests/contract/test_quotas.py",
    "features/members",
    "features/roles",
    "features/tenants",
)
SLICES = ("features",)
STRESS = ("tests/isolation/test_stress.py",)
LANE = ("tests/faults/test_lane_authorization.py",)
CATALOGUE = ("tests/isolation/test_catalogue.py",)
QUESTIONS = ("begin_request", "begin_key_request")
TRIGGERS = """
    SELECT tgrelid::regclass::text, tgname FROM pg_trigger
    WHERE NOT tgisinternal AND tgrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)
    ORDER BY 1, 2
"""
OPEN = """
    DROP POLICY tenant_isolation ON {table};
    ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY;
    ALTER TABLE {table} DISABLE ROW LEVEL SECURITY
"""


class Sabotage(NamedTuple):
    what: str
    proofs: tuple[str, ...]
    """The tests that may notice, in the order in which they are tried."""
    sql: str = ""
    code: Callable[[], Any] | None = None
    """What starts the sabotage in a process; it lasts until that ends."""


def in_the_database(connection: "psycopg.Connection[Any]") -> Iterator[Sabotage]:
    """`connection` is to a migrated database, which is only read."""
    for table in sorted(metadata_tables() | TENANT_COLUMN.keys()):
        yield Sabotage(f"{table} has no row-level security", ROWS + CATALOGUE, OPEN.format(table=table))
    for function in QUESTIONS:
        (definition,) = connection.execute("SELECT pg_get_functiondef(%s::regproc)", [function]).fetchone() or ("",)
        for check in re.findall(r"WHEN (?:(?!WHEN).)+? THEN '[a-z][^\n]+", definition, re.DOTALL):
            said = " ".join(check.split("THEN")[1].split())
            # The first branch of CASE has to stay one, so the check stays, and never finds anything.
            blind = definition.replace(check, f"WHEN false THEN{check.split('THEN')[1]}")
            yield Sabotage(f"{function} does not say {said}", REQUESTS, blind)
        stays = definition.replace("''), true)", "''), false)")
        yield Sabotage(f"{function} binds for longer than the transaction", STRESS, stays)
    for table, trigger in connection.execute(TRIGGERS).fetchall():
        yield Sabotage(f"{table} lacks its trigger {trigger}", DERIVED, f"DROP TRIGGER {trigger} ON {table}")
    for verb in ("TRUNCATE", "REFERENCES"):
        yield Sabotage(f"the service may {verb} projects", CATALOGUE, f"GRANT {verb} ON projects TO tenantry_app")
    yield Sabotage("the service's role bypasses policies", CATALOGUE, "ALTER ROLE tenantry_app BYPASSRLS")


def _asks_nothing() -> None:
    from tenantry.db.lane.question import Question

    original = Question.__init__

    def begin(self: Question, *arguments: Any) -> None:
        original(self, *arguments)
        self.step = self.claim

    patch.object(Question, "__init__", begin).start()
    sql = property(lambda self: f"SELECT set_config('app.tenant_id', '{self.tenant_id or ''}', true)")
    patch.object(Question, "sql", sql).start()


def _commits_unasked() -> None:
    from tenantry.db.lane.work import LaneWork

    original = LaneWork._trip

    async def trip(self: LaneWork, statements: Any, *, writes: bool, first: Any = None) -> Any:
        return await original(self, statements, writes=writes, first=self._question.claim if writes else first)

    patch.object(LaneWork, "_trip", trip).start()


def _forgets_refusals() -> None:
    patch("tenantry.db.verdict.is_refusal", return_value=False).start()


def _believes_any_token() -> None:
    original = jwt.decode_complete

    def decode(token: Any, *_: Any, **__: Any) -> Any:
        return original(token, options={"verify_signature": False})

    patch("tenantry.security.tokens.jwt.decode_complete", decode).start()


def _believes_any_secret() -> None:
    import msgspec

    from tenantry.security import api_keys, tokens

    original = api_keys.principal_of_key

    def without_secret(credential: bytes) -> Any:
        principal = original(credential)
        assert principal.key is not None
        return msgspec.structs.replace(principal, key=msgspec.structs.replace(principal.key, secret_hash=None))

    for module in (api_keys, tokens):
        patch.object(module, "principal_of_key", without_secret).start()
    patch("tenantry.http.visit.principal_of_key", without_secret).start()


def _forgets_tenant_in_cache_keys() -> None:
    from tenantry.cache import store

    def shared(name: str) -> Any:
        return store.Namespace("shared", name)

    for module in ("tenantry.cache.store", "tenantry.cache"):
        patch(f"{module}.tenant_namespace", shared).start()


def _grants_anything() -> None:
    async def anything(*_: Any) -> None:
        return None

    for module in ("features.roles.api", "features.tenants.service"):
        patch(f"{module}.require_grantable", anything).start()


def _heeds_no_version() -> None:
    from tenantry.db.versions import Precondition

    for name in ("check", "require_checked"):
        patch.object(Precondition, name, lambda *_: None).start()


def _shares_keys() -> None:
    import msgspec

    from tenantry.http.idempotency import Keyed

    original = Keyed.__init__

    def begin(self: Keyed, key: bytes, scope: Any, principal: Any, **options: Any) -> None:
        original(self, key, scope, msgspec.structs.replace(principal, subject_id=UUID(int=0)), **options)

    patch.object(Keyed, "__init__", begin).start()


FACTORS, PASSKEYS = ("features/mfa",), ("features/passkeys",)
IN_CODE = {
    each.what: each
    for each in (
        Sabotage("the tenant that is claimed is bound, and nothing asked", REQUESTS[1:], code=_asks_nothing),
        Sabotage("a write commits without asking", REQUESTS[1:], code=_commits_unasked),
        Sabotage("a refusal is forgotten once a handler has caught it", LANE, code=_forgets_refusals),
        Sabotage("tokens are believed without their signature", REQUESTS[1:], code=_believes_any_token),
        Sabotage("API keys are believed without their secret", REQUESTS[1:] + SLICES, code=_believes_any_secret),
        Sabotage("a page of any origin is believed", REQUESTS[1:], code=broken_logins.trusts_any_page),
        Sabotage(
            "any token against forged requests is believed", REQUESTS[1:], code=broken_logins.trusts_any_csrf_token
        ),
        Sabotage(
            "a cookie beside another credential is ignored",
            REQUESTS[1:],
            code=broken_logins.believes_cookies_beside_headers,
        ),
        Sabotage("cache keys forget the tenant", ("tests/contract/test_cache.py",), code=_forgets_tenant_in_cache_keys),
        Sabotage("roles are granted that nobody holds", SLICES, code=_grants_anything),
        Sabotage("idempotency keys are anybody's", ("tests/contract/test_idempotency.py",), code=_shares_keys),
        Sabotage(
            "nobody proves again who they are",
            ("tests/contract/test_fresh_auth.py",),
            code=broken_logins.asks_for_nothing_fresh,
        ),
        Sabotage(
            "factors change without being shown",
            FACTORS + PASSKEYS,
            code=broken_logins.answers("features.mfa.service.FactorService.require_proof", None),
        ),
        Sabotage(
            "a code works twice",
            FACTORS,
            code=broken_logins.answers("features.mfa.repository.TotpRepository.redeem", True),
        ),
        Sabotage("guesses are not counted", FACTORS, code=broken_logins.answers("tenantry.limits.guesses._take", None)),
        Sabotage("a provider's proof may be old", ("features/sso",), code=broken_logins.believes_old_proofs),
        Sabotage(
            "what was a person's stays",
            ("tests/contract/test_departure.py",),
            code=broken_logins.answers("features.me.service.forget_belongings", None),
        ),
        Sabotage(
            "a passkey's signature works twice",
            PASSKEYS,
            code=broken_logins.answers("features.passkeys.repository.CeremonyRepository.redeem", True),
        ),
        Sabotage(
            "a copied passkey is not noticed",
            PASSKEYS,
            code=broken_logins.answers("features.passkeys.repository.PasskeyRepository.count", True),
        ),
        Sabotage("a passkey alone need not verify its owner", PASSKEYS, code=broken_logins.verifies_no_owner),
        Sabotage("a passkey signs for any site", PASSKEYS, code=broken_logins.signs_for_any_site),
        Sabotage("changes heed no version", ("tests/contract/test_conditional.py",), code=_heeds_no_version),
    )
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--sabotage", metavar="WHAT", help="break this in the code")
    parser.addoption("--sabotage-sql", metavar="FILE", help="break this in every database of the tests")


def pytest_configure(config: pytest.Config) -> None:
    if what := config.getoption("--sabotage"):
        code = IN_CODE[what].code
        assert code is not None
        code()
    if path := config.getoption("--sabotage-sql"):
        patch.object(TestDatabases, "clone", _broken(Path(path).read_text())).start()


def _broken(sql: str) -> Any:
    original = TestDatabases.clone

    @contextmanager
    def clone(self: TestDatabases, name: str) -> Iterator[DatabaseUrls]:
        with original(self, name) as urls:
            with psycopg.connect(urls.conninfo) as administrator:
                administrator.execute(sql.encode())
            yield urls

    return clone
