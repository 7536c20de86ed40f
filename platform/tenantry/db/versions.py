"""Versions of rows: which ones a unit of work has read or made, and which one its caller wants to find.

A caller who names the version that they have seen loses nobody's change: it is compared with the row that is about to
be changed, locked or in the very version that the statement then asks for.
"""

from http import HTTPStatus
from uuid import UUID

from tenantry.errors import AppError

__all__ = ("Precondition", "PreconditionFailed", "Versions")


class PreconditionFailed(AppError):
    status = HTTPStatus.PRECONDITION_FAILED
    code = "precondition_failed"
    title = "Somebody has changed it since; read it again"


class Precondition:
    """`If-Match`: the row whose id the request names has to be in one of these versions; None stands for any."""

    __slots__ = ("_is_checked", "_target", "_versions")

    def __init__(self, target: UUID | None, versions: frozenset[int] | None) -> None:
        self._target, self._versions = target, versions
        self._is_checked = False

    def check(self, id: UUID, version: int) -> None:
        """
        Raises:
            PreconditionFailed: it is the row, and in another version.
        """
        if id == self._target and not self._is_checked:
            if self._versions is not None and version not in self._versions:
                raise PreconditionFailed
            self._is_checked = True

    def require_checked(self) -> None:
        """What has no version is in none of those that were named."""
        if self._versions is not None and not self._is_checked:
            raise PreconditionFailed


Noted = tuple[object, int, "Noted | None"]


class Versions:
    """Of one unit of work."""

    __slots__ = ("noted", "precondition")

    def __init__(self) -> None:
        self.noted: Noted | None = None
        """The view of a row, the version that it shows, and what was noted before."""
        self.precondition: Precondition | None = None

    def check(self, id: UUID, version: int) -> None:
        if self.precondition is not None:
            self.precondition.check(id, version)

    def require_checked(self) -> None:
        if self.precondition is not None:
            self.precondition.require_checked()

    def of(self, content: object) -> int | None:
        """Of what is answered: a view that was noted, or one of the same row that says more."""
        found = self.noted
        while found is not None:
            view, version, found = found
            if view is content or (isinstance(content, type(view)) and is_same_row(content, view)):
                return version
        return None


def is_same_row(one: object, other: object) -> bool:
    return bool(getattr(one, "id", one) == getattr(other, "id", other))
