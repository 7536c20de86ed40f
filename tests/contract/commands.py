"""The command line as a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

from tenantry.testing.databases import DatabaseUrls

__all__ = ("tenantry",)

# All in one process: most of a command's time is the start of Python.
PROGRAM = """
import shlex, sys
from tenantry.cli import main, tenantry
*others, last = map(shlex.split, sys.argv[1:])
for command in others:
    tenantry.main(command, standalone_mode=False)
sys.argv[1:] = last
main()
"""


def tenantry(
    urls: DatabaseUrls, folder: Path, *commands: str, sources: tuple[Path, ...] = ()
) -> "subprocess.CompletedProcess[str]":
    """Run each `tenantry …` in `folder` on this database; `sources` come before this repository's own on the path."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TENANTRY_")}
    environment |= {
        "TENANTRY_HOME": str(folder / "home"),
        "TENANTRY_DATABASE_URL": urls.runtime,
        "TENANTRY_MIGRATION_DATABASE_URL": urls.migration,
        "PYTHONPATH": os.pathsep.join(map(str, sources)),
    }
    command = [sys.executable, "-c", PROGRAM, *commands]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
