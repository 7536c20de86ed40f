"""What `docs/security.md` says of limits, lives, words and sessions is what the code does."""

import re
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

import click
import msgspec
import pytest
from litestar import Litestar

import features
from tenantry.app import create_app
from tenantry.cli import tenantry
from tenantry.config import Settings, variable
from tenantry.limits.rate import Rate
from tenantry.testing import Account, Api, TenantHandle, asgi_client, problem
from tests.contract import security_document as document

OF_SECURITY = re.compile("guess|password|token|session|fresh_auth|encryption|secret|signing|anonymous|credential")
LIFE = re.compile(r"\w*LIFETIME")
MANY = 12
ROOT = Path(__file__).parents[2]
OF_PROVIDERS = {
    "the session reaches a limit": "test_session_of_a_provider_ends",
    "the connection is deleted": "test_deletion_ends_its_sessions",
    "the tenant begins to require a connection": "test_required_connection_shuts_out_the_others",
    "the identity is unlinked": "test_account_is_linked_only_by_its_owner",
    "the domain is withdrawn": "test_withdrawn_domain_brings_nobody_new",
    "something asks for a fresh proof": "test_session_is_confined",
}
WORDS: dict[str, Callable[[Account, TenantHandle], str]] = {
    "product": lambda *_: "Tenantry-2026",
    "setting": lambda *_: "Zeppelin!99",
    "name": lambda account, _: f"{account.email.partition('-')[0].title()}-2026",
    "address": lambda account, _: account.email.partition("@")[0].partition("-")[2] + "1815",
    "tenant": lambda _, tenant: f"{tenant.slug}-20",
}
"""By what the document calls it, a password that is little more than such a word."""


def constants(type_: type) -> dict[str, Any]:
    """Of all slices, by their dotted names."""
    modules = [each.name for each in walk_packages(features.__path__, "features.") if ".tests" not in each.name]
    return {f"{name}.{key}": value for name in modules for key, value in own(name) if isinstance(value, type_)}


def own(name: str) -> list[tuple[str, Any]]:
    """What a module assigns itself: what it imports is another's."""
    module = import_module(name)
    assert module.__file__ is not None
    assigned = re.findall(r"^([A-Z_, ]+) = ", Path(module.__file__).read_text(encoding="utf-8"), re.MULTILINE)
    return [(key, vars(module)[key]) for line in assigned for key in line.split(", ")]


def documented(values: dict[str, Any]) -> dict[str, str]:
    return {name: document.said(value) for name, value in values.items()}


@pytest.mark.asvs("6.1.1", "7.1.1")
def test_settings_are_as_documented() -> None:
    """Each setting that is about security is in the document, with its default."""
    fields = [field for field in Settings.__struct_fields__ if OF_SECURITY.search(field)]

    assert documented({variable(field): getattr(Settings(), field) for field in fields}) == document.column("Setting")


@pytest.mark.asvs("6.1.1")
def test_limits_are_as_documented() -> None:
    """Each rate that a slice has, and none that is gone."""
    assert documented(constants(Rate)) == document.column("Limit")


@pytest.mark.asvs("7.1.1")
def test_lives_are_as_documented() -> None:
    """Each life of a link, a code or a challenge, and none that is gone."""
    lives = {name: each for name, each in constants(timedelta).items() if LIFE.fullmatch(name.rpartition(".")[2])}

    assert documented(lives) == document.column("Life")


@pytest.mark.asvs("6.1.2", "6.2.11")
async def test_documented_words_make_no_password(app: Litestar, settings: Settings, acme: TenantHandle) -> None:
    """Of each kind that the document lists, and of no other that it leaves out."""
    ada = acme.member
    service = create_app(msgspec.structs.replace(settings, password_words="Apollo, Zeppelin"))
    refused = {}
    async with service.lifespan(), asgi_client(service) as client:
        for word in document.column("Word"):
            new = {"current_password": ada.password, "password": WORDS[word](ada, acme)}
            refused[word] = await Api(client, ada.token).post("/auth/password/change", json=new)
        good = {"current_password": ada.password, "password": "Zeppelin over the lake"}
        taken = await Api(client, ada.token).post("/auth/password/change", json=good)

    assert WORDS.keys() == refused.keys()
    assert [problem(422, "password_personal")] * len(WORDS) == [*refused.values()]
    assert 204 == taken.status_code


@pytest.mark.asvs("7.1.2")
async def test_number_of_sessions_is_as_documented(api: Api, acme: TenantHandle) -> None:
    """An account has as many as its owner opens, and loses none for it."""
    login = {"email": acme.member.email, "password": acme.member.password}
    tokens = [(await api.post("/auth/login", json=login)).json()["access_token"] for _ in range(MANY)]
    first, last = [await api.bearing(token).get("/auth/sessions") for token in (tokens[0], tokens[-1])]

    assert "have **any number** of sessions" in " ".join(document.text().split())
    assert (200, 200) == (first.status_code, last.status_code)
    assert MANY < len(last.json()["items"])


@pytest.mark.asvs("7.1.3", "7.6.1")
def test_sessions_of_providers_are_as_documented() -> None:
    """What the document says of them is what tests show, each of which is there."""
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "features").rglob("test_*.py"))

    assert OF_PROVIDERS.keys() == document.column("What happens").keys()
    assert [] == [name for name in OF_PROVIDERS.values() if f"def {name}(" not in tests]


@pytest.mark.asvs("6.4.4")
def test_commands_are_as_documented() -> None:
    """What the document has operators run is there."""
    named = {each for each in document.words(document.text()) if each.startswith("tenantry ")}
    named -= document.column("Purpose").keys()

    assert {"tenantry users reset-mfa", "tenantry users create", "tenantry keys rotate"} <= named
    assert named <= commands(tenantry, "tenantry").keys()


@pytest.mark.asvs("6.4.6")
def test_no_command_takes_a_password() -> None:
    """Operators can neither choose nor read the password of a person."""
    taken = {name: [each.name for each in command.params] for name, command in commands(tenantry, "tenantry").items()}

    assert "email" in taken["tenantry users create"]
    assert [] == [name for name, parameters in taken.items() if any("pass" in (each or "") for each in parameters)]


def commands(group: click.Command, name: str) -> dict[str, click.Command]:
    inner = group.commands if isinstance(group, click.Group) else {}
    return {name: group} | {k: v for each, sub in inner.items() for k, v in commands(sub, f"{name} {each}").items()}
