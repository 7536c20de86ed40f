"""What a route says of its end: `opt=allow(READ, deprecated=Deprecated(since=date(2027, 1, 1), …))`.

Clients are told, in the OpenAPI document and in each answer of the route; otherwise nothing changes, neither at these
dates nor after them. A route lives until it is taken out of the code.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from email.utils import format_datetime

import msgspec

__all__ = ("Deprecated",)


class Deprecated(msgspec.Struct, frozen=True):
    since: date
    """From its first moment in UTC on nobody should begin to use the route; it may lie ahead."""
    sunset: date | None = None
    """From then on the route may be gone."""
    successor: str | None = None
    """Path of the route to use instead, as the OpenAPI document writes it, or an address elsewhere."""
    details: str | None = None
    """Address of a page that says what to do."""

    def headers(self) -> list[tuple[str, str]]:
        """RFC 9745, RFC 8594 and RFC 8288. Parameters of the successor's path stand in them as they are declared."""
        return [*self._headers()]

    def _headers(self) -> Iterator[tuple[str, str]]:
        yield "Deprecation", f"@{int(moment(self.since).timestamp())}"
        if self.sunset is not None:
            yield "Sunset", format_datetime(moment(self.sunset), usegmt=True)
        if self.details is not None:
            yield "Link", f'<{self.details}>; rel="deprecation"'
        if self.successor is not None:
            yield "Link", f'<{self.successor}>; rel="successor-version"'

    def __str__(self) -> str:
        """For people who read the document."""
        end = f", and may end on {self.sunset}" if self.sunset else ""
        instead = f" Use `{self.successor}` instead." if self.successor else ""
        more = f" See {self.details}" if self.details else ""
        return f"Deprecated since {self.since}{end}.{instead}{more}"


def moment(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
