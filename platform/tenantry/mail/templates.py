"""Mails as a team wants them: `<name>.txt`, whose first line is the subject, and `<name>.html`.

Those of the platform and of the slices are the defaults; a file of the same name in `TENANTRY_MAIL_TEMPLATES` counts
more. Jinja runs them in its sandbox: they may show what they are given and nothing else. In HTML all of it is escaped,
in text it stays on its line, so no name of a person or a tenant can bend a mail.
"""

from collections.abc import Iterable
from email.utils import parseaddr
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from tenantry.config import ConfigurationError, Settings, variable
from tenantry.mail.message import Mail

__all__ = ("MailTemplates",)

OWN = Path(__file__).parent / "templates"
SUBJECT = "Subject: "
LONGEST_VALUE = 2000


class MailTemplates:
    def __init__(self, settings: Settings, folders: Iterable[Path] = ()) -> None:
        """
        Raises:
            ConfigurationError: a team's folder is not there, or what lies in it would fail or never be used.
        """
        self.defaults = [*folders, OWN]
        team = [Path(settings.mail_templates)] if settings.mail_templates else []
        self.environment = ImmutableSandboxedEnvironment(
            loader=FileSystemLoader([*team, *self.defaults]),
            autoescape=lambda name: name is not None and name.endswith(".html"),
            undefined=StrictUndefined,
            finalize=on_one_line,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        service = parseaddr(settings.mail_from)[0] or "Tenantry"
        self.environment.globals = {"service": service, "base_url": settings.base_url}
        self._refuse_two_of_a_name()
        for folder in team:
            self._check(folder)

    def write(self, name: str, to: str, /, **values: Any) -> Mail:
        text = self.environment.get_template(f"{name}.txt").render(values)
        first, _, rest = text.partition("\n")
        html = self.environment.get_template(f"{name}.html").render(values)
        return Mail(to, first.removeprefix(SUBJECT).strip(), rest.lstrip("\n"), html)

    def _refuse_two_of_a_name(self) -> None:
        names = [file.name for folder in self.defaults for file in folder.iterdir()]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ConfigurationError(f"mails of several slices have the same name: {', '.join(twice)}")

    def _check(self, folder: Path) -> None:
        """A mail that cannot be written is found when the service starts, not when somebody waits for it."""
        setting = variable("mail_templates")
        if not folder.is_dir():
            raise ConfigurationError(f"{setting}: there is no folder {folder}")
        for file in sorted(folder.iterdir()):
            if not any((defaults / file.name).exists() for defaults in self.defaults):
                raise ConfigurationError(f"{setting}: {file.name} is the name of no mail")
            try:
                unknown = self._asked(file.read_text()) - self._given(file.stem)
            except (TemplateError, UnicodeDecodeError) as error:
                raise ConfigurationError(f"{setting}: {file.name}: {error}") from error
            if unknown and file.name != "layout.html":
                raise ConfigurationError(f"{setting}: {file.name} shows {', '.join(sorted(unknown))}, not known there")
            if file.suffix == ".txt" and not file.read_text().startswith(SUBJECT):
                raise ConfigurationError(f"{setting}: {file.name} must begin with {SUBJECT!r}")

    def _given(self, name: str) -> set[str]:
        """What the defaults show of what they are given."""
        files = [folder / f"{name}{suffix}" for folder in self.defaults for suffix in (".txt", ".html")]
        shown = [self._asked(file.read_text()) for file in files if file.exists()]
        return set().union(*shown, self.environment.globals)

    def _asked(self, source: str) -> set[str]:
        tree: nodes.Template = self.environment.parse(source)
        return set(meta.find_undeclared_variables(tree))


def on_one_line(value: Any) -> Any:
    """Of a value that a template shows; what templates make of other templates stays as it is."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    printable = "".join(character if character.isprintable() else " " for character in value[:LONGEST_VALUE])
    return " ".join(printable.split())
