"""`begin_request` and `begin_key_request` answer as a small model of them does, over random states of all they read."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import make_url

from tenantry.config import Settings
from tenantry.db.denials import DENIALS
from tenantry.db.lane.question import ANY_SESSION
from tenantry.feature import slice_modules
from tenantry.security.permissions import Role, declared_permissions
from tenantry.testing.databases import conninfo

DECLARED = declared_permissions(slice_modules("features", "permissions"))
NAMES = [*(permission.name for permission in DECLARED), "ghosts:read"]
BUILT_IN = {role.name: {each.name for each in DECLARED if role in each.roles()} for role in Role}
CURRENT, PREVIOUS, WRONG = b"current", b"previous", b"wrong"
KEY_DENIALS = {"invalid_api_key", "api_key_revoked", "api_key_expired", "scope_missing"}
SESSION_DENIALS = {
    "session_ended", "tenant_required", "not_a_member", "session_confined", "tenant_requires_sso",
    "tenant_requires_second_factor",
}  # fmt: skip
examples = settings(max_examples=400, deadline=None, derandomize=True, database=None)


def mostly(usual: Any, *others: Any) -> st.SearchStrategy[Any]:
    """Else nearly every example would end at the first thing that is wrong with it."""
    return st.sampled_from([usual] * 3 * len(others) + [*others])


some_permissions = st.frozensets(st.sampled_from(NAMES))
asked_permission = st.sampled_from([None, ANY_SESSION, *NAMES])
a_role = st.sampled_from(sorted(BUILT_IN)) | some_permissions


@dataclass(frozen=True)
class Subject:
    """`role` is the name of a built-in one, or the permissions of a custom one."""

    disabled: bool
    status: str
    role: str | frozenset[str]
    wants_second_factor: bool
    wants_provider: bool

    @property
    def held(self) -> Any:
        return BUILT_IN[self.role] if isinstance(self.role, str) else self.role

    def tenant_denial(self) -> str | None:
        return None if self.status == "active" else f"tenant_{self.status}"


subjects = st.builds(Subject, mostly(False, True), mostly("active", "suspended", "deleting"), a_role, st.booleans(),
                     mostly(False, True))  # fmt: skip


@dataclass(frozen=True)
class SessionState:
    subject: Subject
    session: str
    tenant: str | None
    is_member: bool
    has_second_factor: bool
    provider: str | None
    """Of the tenant, which it may require, or another."""
    confined: bool
    """To another tenant than that which is asked for."""

    def denial(self, permission: str | None) -> str | None:
        if self.session != "live":
            return "session_ended"
        if self.subject.disabled:
            return "account_disabled"
        if not permission:
            return "session_confined" if permission is None and self.confined else None
        if self.tenant is None:
            return "tenant_required"
        if self.tenant == "other" or not self.is_member:
            return "not_a_member"
        if self.confined:
            return "session_confined"
        return (
            self.subject.tenant_denial()
            or self.origin_denial()
            or missing("permission_missing", permission, self.subject.held)
        )

    def origin_denial(self) -> str | None:
        trusted = self.subject.wants_provider and self.provider == "required"
        if self.subject.wants_provider and not trusted and self.subject.role != "owner":
            return "tenant_requires_sso"
        if self.subject.wants_second_factor and not (self.has_second_factor or trusted):
            return "tenant_requires_second_factor"
        return None


@dataclass(frozen=True)
class KeyState:
    subject: Subject
    is_person: bool
    key: str
    secret: bytes | None
    overlap: str | None
    revoked: bool
    expiry: str | None
    scopes: frozenset[str]

    def denial(self, permission: str | None) -> str | None:
        if self.key != "own" or self.secret == WRONG or (self.secret == PREVIOUS and self.overlap != "future"):
            return "invalid_api_key"
        if self.revoked:
            return "api_key_revoked"
        if self.expiry == "past":
            return "api_key_expired"
        if self.is_person and self.subject.disabled:
            return "account_disabled"
        if denied := self.subject.tenant_denial():
            return denied
        if permission is None:
            return None
        return missing("scope_missing", permission, self.scopes) or missing(
            "permission_missing", permission, self.subject.held
        )


def missing(denial: str, permission: str, held: Any) -> str | None:
    return None if permission in held else denial


sessions = st.builds(
    SessionState, subjects, mostly("live", "ended", "expired", "never was"), mostly("own", "other", None),
    mostly(True, False), st.booleans(), st.sampled_from(["required", "other", None]), mostly(False, True),
)  # fmt: skip
keys = st.builds(
    KeyState, subjects, st.booleans(), mostly("own", "never was", "of another tenant"),
    mostly(CURRENT, PREVIOUS, WRONG, None), st.sampled_from(["future", "past", None]), mostly(False, True),
    mostly(None, "future", "past"), st.just(frozenset(NAMES)) | some_permissions,
)  # fmt: skip


class Stage:
    """A transaction of the runtime role, in which a state is built; nothing of it stays."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self.connection, self.tenant, self.subject, self.credential = connection, uuid4(), uuid4(), uuid4()
        self.provider = uuid4()

    def insert(self, table: str, times: dict[str, str | None] | None = None, **values: Any) -> None:
        """With `created_at` and `updated_at`, where the table has it; `times` are in the past or in the future."""
        moments = {"created_at": "now"} | ({} if table == "sessions" else {"updated_at": "now"}) | (times or {})
        written = {"past": "now() - interval '1 hour'", "future": "now() + interval '1 hour'", "now": "now()"}
        columns = ", ".join([*values, *moments])
        places = ", ".join([*["%s"] * len(values), *(written.get(str(moment), "NULL") for moment in moments.values())])
        self.connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({places})", [*values.values()])  # noqa: S608 -- names from this file only

    def found(self, subject: Subject, *, is_person: bool = True, is_member: bool = True) -> None:
        self.connection.execute("SELECT set_config('app.tenant_id', %s, true)", [str(self.tenant)])
        slug = f"t-{self.tenant}"
        settings = '{"mfa": {"required": true}}' if subject.wants_second_factor else "{}"
        self.insert(
            "tenants", id=self.tenant, name="T", slug=slug, status=subject.status, plan="unlimited", settings=settings,
            required_connection=self.provider if subject.wants_provider else None,
        )  # fmt: skip
        if is_person:
            disabled = {"disabled_at": "past" if subject.disabled else None}
            email = f"{self.subject}@example.com"
            self.insert("users", disabled, id=self.subject, email=email, name="Ada", password_hash="")
        else:
            self.insert("service_accounts", id=self.subject, name="robot")
        if not is_member:
            return
        built_in = subject.role if isinstance(subject.role, str) else None
        if built_in is None:
            self.insert("custom_roles", id=uuid4(), name="custom", description="", permissions=[*subject.role])
        who: dict[str, Any] = {"user_id" if is_person else "service_account_id": self.subject}
        self.insert("memberships", id=uuid4(), role=built_in, custom_role=None if built_in else "custom", **who)

    def denial(self, question: str, *values: Any) -> str | None:
        try:
            self.connection.execute(question, values)
        except psycopg.errors.InsufficientPrivilege as error:
            return error.diag.message_detail
        return None


def ask_session(stage: Stage, state: SessionState, permission: str | None) -> str | None:
    stage.found(state.subject, is_member=state.is_member)
    times: dict[str, str | None] = {"last_used_at": "now", "ended_at": "past" if state.session == "ended" else None}
    times["expires_at"] = "past" if state.session == "expired" else "future"
    times |= {"ends_at": "future", "second_factor_at": "past" if state.has_second_factor else None}
    stage.insert(
        "sessions", times, id=stage.credential, user_id=stage.subject, user_agent="",
        connection_id={"required": stage.provider, "other": uuid4(), None: None}[state.provider],
        only_tenant_id=uuid4() if state.confined else None,
    )  # fmt: skip
    session = uuid4() if state.session == "never was" else stage.credential
    tenant: dict[str | None, UUID | None] = {"own": stage.tenant, "other": uuid4(), None: None}
    return stage.denial("SELECT begin_request(%s, %s, %s)", session, tenant[state.tenant], permission)


def ask_key(stage: Stage, state: KeyState, permission: str | None) -> str | None:
    stage.found(state.subject, is_person=state.is_person)
    times = {"previous_until": state.overlap, "expires_at": state.expiry}
    times["revoked_at"] = "past" if state.revoked else None
    stage.insert(
        "api_keys", times, id=stage.credential, subject_id=stage.subject, name="key", hint="", secret_hash=CURRENT,
        previous_hash=PREVIOUS if state.overlap else None, scopes=[*state.scopes], created_by=stage.subject,
    )  # fmt: skip
    key = uuid4() if state.key == "never was" else stage.credential
    tenant = uuid4() if state.key == "of another tenant" else stage.tenant
    return stage.denial("SELECT begin_key_request(%s, %s, %s, %s)", key, state.secret, tenant, permission)


@pytest.fixture(scope="module")
def connection(settings: Settings) -> Iterator["psycopg.Connection[Any]"]:
    with psycopg.connect(conninfo(make_url(settings.database_url or ""))) as connection:
        yield connection


@pytest.mark.parametrize(
    ("states", "ask", "unseen"),
    [(sessions, ask_session, KEY_DENIALS), (keys, ask_key, SESSION_DENIALS)],
    ids=["begin_request", "begin_key_request"],
)
def test_question_is_answered_as_by_the_model(
    connection: "psycopg.Connection[Any]", states: Any, ask: Callable[..., str | None], unseen: set[str]
) -> None:
    """The reason of each refusal is the model's, nothing else is refused, and every reason there is was seen."""
    seen = set()

    @examples
    @given(states, asked_permission)
    def compare(state: Any, permission: str | None) -> None:
        expected = state.denial(permission)
        try:
            answered = ask(Stage(connection), state, permission)
        finally:
            connection.rollback()
        seen.add(answered)
        assert expected == answered

    compare()

    assert {None, *DENIALS} - unseen == seen
