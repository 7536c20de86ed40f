"""What the README shows is what happens."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenantry.config import Settings
from tenantry.ids import new_id
from tenantry.testing.service import LiveService, running_service

README = Path(__file__).parents[2] / "README.md"


def block_after(heading: str) -> str:
    match = re.search(rf"^{re.escape(heading)}$.*?^```sh\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)
    assert match is not None
    return match[1]


@pytest.fixture
def sending_service(settings: Settings, tmp_path: Path) -> Iterator[LiveService]:
    """As people start it: it sends its mail."""
    with running_service(settings, tmp_path, TENANTRY_SEND_MAIL="true") as service:
        yield service


def test_five_minutes_with_curl(sending_service: LiveService, settings: Settings) -> None:
    """The tour runs as it stands, from sign-up to log-out, with the two refusals that it announces."""
    tour = block_after("## Five minutes with curl")
    name = f"ada-{new_id().hex}"
    here = {
        "http://127.0.0.1:8000": sending_service.url,
        ".tenantry/mail": str(settings.home_path / "mail"),
        "ada@": f"{name}@",
        '"slug": "acme"': f'"slug": "{name}"',
    }
    script = tour
    for there, replacement in here.items():
        assert there in script
        script = script.replace(there, replacement)

    run = subprocess.run(["bash", "-eo", "pipefail", "-c", script], capture_output=True, text=True, timeout=60)

    codes = re.findall(r'"code":"(\w+)"', run.stdout)
    assert (0, "") == (run.returncode, run.stderr)
    assert ["project_archived", "session_ended"] == codes
    assert '"total":1' in run.stdout
