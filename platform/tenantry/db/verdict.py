"""What the database has said to one unit of work so far, and what follows from it."""

from collections.abc import Awaitable
from typing import TypeVar

from psycopg import Error
from sqlalchemy.exc import DBAPIError

from tenantry.db.denials import SerializationFailure, is_refusal, precedes_the_question, translate
from tenantry.errors import AppError, Unavailable

__all__ = ("Verdict",)

T = TypeVar("T")


class Verdict:
    def __init__(self) -> None:
        self.is_known = False
        """It has answered whether the request may happen, or cannot answer anything."""
        self.refusal: AppError | None = None
        """It has said no, which stays, even where a handler has caught it."""
        self.has_failed = False
        self.has_conflicted = False
        """Somebody else was faster, and doing all of it again may succeed."""

    async def on(self, work: Awaitable[T]) -> T:
        """The result of work on the database, or the error that a client can act on."""
        try:
            return await work
        except (DBAPIError, Error) as error:
            told = translate(error)
            self.is_known |= not precedes_the_question(error, told)
            self.refusal = told if is_refusal(told) else self.refusal
            self.has_failed = True
            self.has_conflicted = isinstance(told, SerializationFailure)
            raise told from error
        except SerializationFailure:
            self.has_conflicted = True
            raise
        except Unavailable:
            # Nothing is told of anything, so nobody has to be asked.
            self.is_known = True
            raise

    def unchanged(self, otherwise: type[AppError]) -> AppError:
        """The error of a write that has changed no row."""
        self.has_conflicted = issubclass(otherwise, SerializationFailure)
        return otherwise()
