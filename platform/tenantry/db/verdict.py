"""What the database has said to one unit of work so far, and what follows from it."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from psycopg import Error
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tenantry.db.denials import (
    DatabaseUnavailable,
    PoolExhausted,
    SchemaChanged,
    SerializationFailure,
    is_refusal,
    may_be_stale,
    precedes_the_question,
    translate,
)
from tenantry.errors import AppError, Unavailable
from tenantry.security.principal import Principal

__all__ = ("Heard", "Verdict", "nobody")

T = TypeVar("T")
Heard = Callable[[Principal, bytes | None], None]
"""Is told whom the database has let in, and the plan of the tenant where it has said that."""


def nobody(_principal: Principal, _plan: bytes | None) -> None:
    pass


class Verdict:
    is_known = False
    """It has answered whether the request may happen."""
    refusal: AppError | None = None
    """It has said no, or nothing when it was asked; that stays, even where a handler has caught it."""
    has_failed = False
    has_conflicted = False
    """Somebody else was faster, and doing all of it again may succeed."""
    has_lost_connection = False
    """In the middle of it: a commit may have arrived or not."""
    may_rest_on_stale = False
    """Statements may have been prepared before a table was changed; a repeat prepares nothing."""

    async def on(self, work: Awaitable[T], *, asks: bool = True) -> T:
        """The result of work on the database, which asks first, or the error that a client can act on."""
        try:
            return await work
        except (DBAPIError, Error) as error:
            told = translate(error)
            if told is error and self.may_rest_on_stale and may_be_stale(error):
                told = SchemaChanged()
            self._take_for_no(told)
            self.has_lost_connection |= isinstance(told, DatabaseUnavailable) and self.refusal is None
            self.is_known |= asks and not precedes_the_question(error, told)
            self.has_failed = True
            # What fails after a conflict, in the same transaction, fails because of it.
            self.has_conflicted |= isinstance(told, SerializationFailure | SchemaChanged)
            raise told from error
        except PoolTimeout as error:
            told = PoolExhausted()
            self._take_for_no(told)
            raise told from error
        except SerializationFailure:
            self.has_conflicted = True
            raise
        except Unavailable as error:
            self._take_for_no(error)
            raise

    def _take_for_no(self, told: Exception) -> None:
        if is_refusal(told) or (isinstance(told, Unavailable) and not self.is_known):
            self.refusal = told

    def unchanged(self, otherwise: type[AppError]) -> AppError:
        """The error of a write that has changed no row."""
        self.has_conflicted = issubclass(otherwise, SerializationFailure)
        return otherwise()
