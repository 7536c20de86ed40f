"""Mails are a team's own to write, and nobody else's: no name bends them, and no template reaches beyond its values."""

from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from jinja2.exceptions import SecurityError
from sqlalchemy import text

from tenantry.config import ConfigurationError, Settings
from tenantry.feature import slice_folders
from tenantry.ids import new_id
from tenantry.mail.templates import OWN, MailTemplates
from tenantry.testing import Api, Mailbox, TenantHandle
from tenantry.visitor import Visitor

FOLDERS = slice_folders("features", "mails")
NAMES = sorted(file.stem for folder in (OWN, *FOLDERS) for file in folder.glob("*.txt"))
EVIL = '<script>alert("x")</script>"><img src=x onerror=y>\r\nBcc: eve@example.com\u2028{{ 7*7 }}'
Make = Callable[..., MailTemplates]


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]


@pytest.fixture
def make(settings: Settings, tmp_path: Path) -> Make:
    """Templates of a team that has written these files."""

    def make(**files: str) -> MailTemplates:
        for name, content in files.items():
            (tmp_path / name.replace("__", ".")).write_text(content)
        return MailTemplates(msgspec.structs.replace(settings, mail_templates=str(tmp_path)), FOLDERS)

    return make


@pytest.mark.parametrize("name", NAMES)
def test_no_value_bends_a_mail(settings: Settings, name: str) -> None:
    """In every mail that there is, values are escaped in HTML, stay on their line in text, and are no templates."""
    templates = MailTemplates(settings, FOLDERS)
    names = templates._given(name) - {"service", "base_url", "visitor"}
    mail, plain = (
        templates.write(name, "ada@example.com", **dict.fromkeys(names, value), visitor=Visitor(value, value))
        for value in (EVIL, "x")
    )

    assert mail.html is not None
    assert plain.html is not None
    assert Tags(plain.html).tags | Tags(mail.html).tags <= {
        "html", "head", "meta", "body", "div", "p", "a", "br", "code",
    }  # fmt: skip
    assert "\n" not in mail.subject
    assert not [line for line in mail.text.splitlines() if line.startswith(("Bcc", "{{"))]
    assert "\u2028" not in mail.text


async def test_name_of_a_tenant_is_escaped(api: Api, acme: TenantHandle, mailbox: Mailbox) -> None:
    """The name of a tenant comes into the HTML of an invitation as text."""
    email = f"grace-{new_id().hex}@example.com"
    await acme.run(text("UPDATE tenants SET name = :name").bindparams(name=EVIL))

    created = await api.as_(acme.admin).post("/invitations", json={"email": email, "role": "viewer"})
    mail = mailbox.to(email)[-1]

    assert 201 == created.status_code
    assert "<script" not in mail.html
    assert "&lt;script&gt;" in mail.html


def test_team_writes_its_own(make: Make) -> None:
    """A file of a team replaces the one of the same name, alone: the other version stays as it was."""
    templates = make(
        confirm_address__txt="Subject: Willkommen bei {{ service }}\n\nHier: {{ link }}\n",
        layout__html="<main>{% block content %}{% endblock %}</main>",
    )
    mail = templates.write("confirm_address", "ada@example.com", link="https://x.example/?a=1&b=2", hours=24)

    assert ("Willkommen bei Tenantry", "Hier: https://x.example/?a=1&b=2\n") == (mail.subject, mail.text)
    assert mail.html is not None
    assert mail.html.startswith("<main>")
    assert 'href="https://x.example/?a=1&amp;b=2"' in mail.html


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("confirm_address__html", "{{ lnk }}", "shows lnk"),
        ("confirm_address__html", "{% block %}", "confirm_address.html"),
        ("confirm_adress__html", "x", "the name of no mail"),
        ("invitation__txt", "Hello", "must begin with"),
    ],
)
def test_mail_that_would_fail_is_found_at_the_start(make: Make, name: str, content: str, told: str) -> None:
    """An unknown value, a fault of syntax, a misspelled name or a missing subject end the start, and say which."""
    with pytest.raises(ConfigurationError, match=f"TENANTRY_MAIL_TEMPLATES.*{told}"):
        make(**{name: content})


def test_folder_that_is_not_there(settings: Settings) -> None:
    """A folder that does not exist ends the start with the name of the setting."""
    with pytest.raises(ConfigurationError, match="TENANTRY_MAIL_TEMPLATES"):
        MailTemplates(msgspec.structs.replace(settings, mail_templates="/nowhere"), FOLDERS)


def test_template_reaches_nothing(make: Make) -> None:
    """A template runs in a sandbox: from its values no way leads to Python."""
    templates = make(confirm_address__html="{{ link.__class__.__mro__[1].__subclasses__() }}")
    with pytest.raises(SecurityError):
        templates.write("confirm_address", "ada@example.com", link="https://x.example", hours=24)
