"""Whether cost grows with data: the same requests to a small and a large database, and to a first and a late page."""

from collections.abc import Sequence
from random import Random

from features.projects.dtos import Project
from features.projects.models import ProjectRow
from tenantry.db.page import PageRequest, keyset
from tenantry.testing.databases import DatabaseUrls
from tests.load.contest import Entrant
from tests.load.dataset import PAGE, Member, Size, members, page_before, project_ids, row_count
from tests.load.generator import call
from tests.load.plan import CLIENTS
from tests.load.rounds import Race
from tests.load.scenarios import PROJECTS, Cast
from tests.load.server import connected

__all__ = ("SMALL", "cast_of", "growth_races", "late_page_of")

SMALL = Size(tenants=10, rows=10_000)
LATE_PAGE = 10_000
ASKING_TENANTS = 1_000
BIG_TENANT = Member(0)


def cast_of(urls: DatabaseUrls, size: Size) -> Cast:
    """Callers from up to a thousand tenants, drawn from all but the big one, and a thousand projects of theirs."""
    numbers = range(int(size.has_big_tenant), size.tenants)
    asking = members(Random(0).sample(numbers, min(len(numbers), ASKING_TENANTS)))
    with connected(urls) as connection:
        return Cast(asking, [], project_ids(connection, asking, ASKING_TENANTS // len(asking)))


def late_page_of(urls: DatabaseUrls) -> tuple[int, str]:
    """Page 10,000 of the big tenant, or the last one before its end; its number and its cursor.

    Who walks there gets the same cursor, after 10,000 requests.
    """
    with connected(urls) as connection:
        page = min(LATE_PAGE, row_count(connection, BIG_TENANT) // PAGE)
        created_at, id = page_before(connection, BIG_TENANT, page)
    last = Project(id, "", "", None, created_at, created_at)
    return page, keyset(ProjectRow, ("created_at",), PageRequest(PAGE, None, None, False)).cursor_after(last)


def growth_races(sizes: Sequence[tuple[Size, Entrant, Cast]], late_page: tuple[int, str]) -> list[Race]:
    """The last of the sizes is the one with the big tenant."""
    entrant, (number, cursor) = sizes[-1][1], late_page
    token, host, first = entrant.token(BIG_TENANT), entrant.server.host, f"{PROJECTS}?limit={PAGE}"
    paths = {"page 1": first, f"page {number:,}": f"{first}&cursor={cursor}"}
    pages = {name: (entrant.server, [call("GET", path, host, token)]) for name, path in paths.items()}
    by_size = {
        scenario: {size.says(): (found.server, found.calls(scenario, cast)) for size, found, cast in sizes}
        for scenario in ("get", "list")
    }
    return [*(Race(name, CLIENTS, entries) for name, entries in by_size.items()), Race("pages", CLIENTS, pages)]
