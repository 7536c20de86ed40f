"""`.env.example` is what the settings say."""

import re
from pathlib import Path

import pytest

from tenantry.config import Settings, load_settings, variable
from tenantry.config_example import env_example


@pytest.fixture
def committed(pytestconfig: pytest.Config) -> str:
    return (pytestconfig.rootpath / ".env.example").read_text(encoding="utf-8")


def test_is_current(committed: str) -> None:
    """The committed file is the generated one; after a change to the settings `just env-example` writes it."""
    assert env_example() == committed


def test_names_every_setting_and_nothing_else(committed: str) -> None:
    """Each setting stands in it once, commented out."""
    named = re.findall(r"^(.*)\b(TENANTRY_\w+)=", committed, re.MULTILINE)

    assert [("# ", variable(field)) for field in Settings.__struct_fields__] == named


def test_shows_the_defaults(committed: str, tmp_path: Path) -> None:
    """As a `.env` without its `#`, but for the examples with `…`, it changes no setting."""
    lines = [line.removeprefix("# ") for line in committed.splitlines() if re.match(r"# TENANTRY_\w+=[^…]*$", line)]
    env_file = tmp_path / ".env"
    env_file.write_text("\n".join(lines))

    loaded = load_settings({}, env_file)

    assert Settings() == loaded.settings
    assert ".env" in loaded.origins.values()
