"""The security requirements in scope, `docs/asvs.csv`, and the tests that show them: `just asvs`."""

import csv
from pathlib import Path
from typing import NamedTuple

__all__ = ("SCOPE", "Requirement", "requirements")

SCOPE = Path(__file__).parents[2] / "docs" / "asvs.csv"


class Requirement(NamedTuple):
    """Of OWASP ASVS 5.0, in a few words of our own."""

    id: str
    level: str
    phrase: str
    why_not: str
    """Why it does not apply."""
    open: str
    """What is missing until a test shows it."""


def requirements() -> list[Requirement]:
    with SCOPE.open(newline="") as file:
        return [Requirement(**row) for row in csv.DictReader(file)]
