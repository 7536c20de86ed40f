"""`docs/security.md`, as tables that can be compared with the code."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

from tenantry.limits.rate import Rate

__all__ = ("column", "rows", "said", "text", "words")

FILE = Path(__file__).parents[2] / "docs" / "security.md"
DAY = 86_400
UNITS = [("days", DAY), ("hours", 3600), ("minutes", 60), ("seconds", 1)]


def text() -> str:
    return FILE.read_text(encoding="utf-8")


def rows(first: str) -> list[list[str]]:
    """Of all tables whose first column is called so; cells without their backticks."""
    found, title = [], ""
    for line in text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")] if line.startswith("|") else []
        if cells and not title:
            title = cells[0]
        elif cells and title == first and not cells[0].startswith("--"):
            found.append(cells)
        title = title if cells else ""
    return found


def column(first: str, second: int = 1) -> dict[str, str]:
    """By the first column, without its backticks, another one."""
    return {cells[0].strip("`"): cells[second] for cells in rows(first)}


def said(value: Any) -> str:
    """As the document writes it: `10 in 1 hour`, `30 minutes`, `none`."""
    if isinstance(value, Rate):
        return f"{value.times} in {said(value.per)}"
    if isinstance(value, timedelta):
        seconds = int(value.total_seconds())
        unit, length = next(each for each in UNITS if seconds % each[1] == 0 and (seconds > DAY or each[1] < DAY))
        number = seconds // length
        return f"{number} {unit if number > 1 else unit.removesuffix('s')}"
    return "none" if value in (None, "") else str(value)


def words(cell: str) -> set[str]:
    """What stands in backticks."""
    return {*re.findall(r"`([^`]+)`", cell)}
