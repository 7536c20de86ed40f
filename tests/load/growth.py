"""Whether cost grows with data: the same requests to a small and a large database, and to a first and a late page."""

from collections.abc import Sequence
from random import Random

import msgspec

from tenantry.db.page import Position
from tenantry.http.page import about_list
from tenantry.security.cursors import CursorSeal
from tenantry.security.vault import Vault
from tenantry.testing.databases import DatabaseUrls
from tests.load.contest import Entrant
from tests.load.dataset import PAGE, Member, Size, members, page_before, project_ids, row_count
from tests.load.generator import call
from tests.load.plan import CLIENTS
from tests.load.rounds import Race
from tests.load.scenarios import PROJECTS, Cast
from tests.load.server import connected

__all__ = ("SMALL", "cast_of", "growth_races", "late_pages_of")

SMALL = Size(tenants=10, rows=10_000)
LATE_PAGE = 10_000
SORTS = ("-created_at", "name")
ASKING_TENANTS = 1_000
BIG_TENANT = Member(0)


def cast_of(urls: DatabaseUrls, size: Size) -> Cast:
    """Callers from up to a thousand tenants, drawn from all but the big one, and a thousand projects of theirs."""
    numbers = range(int(size.has_big_tenant), size.tenants)
    asking = members(Random(0).sample(numbers, min(len(numbers), ASKING_TENANTS)))
    with connected(urls) as connection:
        return Cast(asking, [], project_ids(connection, asking, ASKING_TENANTS // len(asking)))


def late_pages_of(urls: DatabaseUrls, vault: Vault) -> dict[str, tuple[int, str]]:
    """By sort, page 10,000 of the big tenant, or the last one before its end; its number and its cursor.

    Who walks there gets the same cursor, after 10,000 requests.
    """
    seal, pages = CursorSeal(vault), {}
    with connected(urls) as connection:
        number = min(LATE_PAGE, row_count(connection, BIG_TENANT) // PAGE)
        for sort in SORTS:
            value, id = page_before(connection, BIG_TENANT, number, sort)
            position = msgspec.json.encode(Position(backwards=False, value=value, id=id))
            pages[sort] = number, seal.close(position, about_list(PROJECTS, BIG_TENANT.tenant_id, sort, {}))
    return pages


def growth_races(sizes: Sequence[tuple[Size, Entrant, Cast]], late: dict[str, tuple[int, str]]) -> list[Race]:
    """The last of the sizes is the one with the big tenant."""
    entrant = sizes[-1][1]
    token, host = entrant.token(BIG_TENANT), entrant.server.host
    races = []
    by_size = {
        scenario: {size.says(): (found.server, found.calls(scenario, cast)) for size, found, cast in sizes}
        for scenario in ("get", "list")
    }
    for sort, (number, cursor) in late.items():
        first = f"{PROJECTS}?limit={PAGE}&sort={sort}"
        paths = {"page 1": first, f"page {number:,}": f"{first}&cursor={cursor}"}
        pages = {name: (entrant.server, [call("GET", path, host, token)]) for name, path in paths.items()}
        races.append(Race("pages" if sort == SORTS[0] else f"pages by {sort}", CLIENTS, pages))
    return [*(Race(name, CLIENTS, entries) for name, entries in by_size.items()), *races]
