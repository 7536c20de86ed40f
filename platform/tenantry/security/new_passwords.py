"""Which passwords may be chosen: any of enough characters, but not one that is tried first.

There are no rules of composition, and none ever expires. See ADR 19.
"""

import re
import runpy
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import msgspec

from tenantry.errors import Unprocessable
from tenantry.settings import Settings

__all__ = ("NewPassword", "NewPasswords", "common_passwords")

SHORTEST = 8
NewPassword = Annotated[
    str, msgspec.Meta(min_length=SHORTEST, max_length=128, examples=["correct horse battery staple"])
]
PRODUCT = "tenantry"
SHORTEST_WORD = 3


class UnsafePassword(Unprocessable):
    """Of the body's member `password`."""

    def __init__(self) -> None:
        super().__init__(errors=[{"detail": f"{self.title}.", "pointer": "/password"}])


class CommonPassword(UnsafePassword):
    code = "password_common"
    title = "This is one of the passwords that are tried first; choose another"


class PersonalPassword(UnsafePassword):
    code = "password_personal"
    title = "This password is little more than a name or an address that others know; choose another"


class BreachedPassword(UnsafePassword):
    code = "password_breached"
    title = "This password is known from a data breach; choose another"


class NewPasswords:
    """Handlers and services name it `new_passwords`."""

    def __init__(self, settings: Settings) -> None:
        self._common = common_passwords()
        self._words = [PRODUCT, *settings.password_words.split(",")]
        self._breached = None
        if url := settings.breached_passwords_url:
            # Its HTTP client is loaded where it is wanted.
            from tenantry.security.breaches import BreachedPasswords

            self._breached = BreachedPasswords(url, settings.breached_passwords_timeout_seconds)

    async def check(self, password: str, *, about: Iterable[str]) -> None:
        """`about`: the person's name and addresses, and the names of what they belong to.

        Raises:
            CommonPassword, PersonalPassword, BreachedPassword: it may not be chosen.
        """
        plain = password.casefold()
        if plain in self._common:
            raise CommonPassword
        left = without(plain, words_of([*self._words, *about]))
        if left != plain and (len(left) < SHORTEST or left in self._common):
            raise PersonalPassword
        if self._breached is not None and await self._breached.include(password):
            raise BreachedPassword

    async def close(self) -> None:
        if self._breached is not None:
            await self._breached.close()


def common_passwords() -> frozenset[str]:
    """Of zxcvbn's 30,000 those that are long enough to be chosen.

    The file is run, not imported: with the rest of its package it would take ten times the memory, for good.
    """
    package = find_spec("zxcvbn")
    assert package is not None
    assert package.submodule_search_locations is not None
    file = Path(package.submodule_search_locations[0]) / "frequency_lists.py"
    listed: Iterable[str] = runpy.run_path(str(file))["FREQUENCY_LISTS"]["passwords"]
    return frozenset(password for password in listed if len(password) >= SHORTEST)


def words_of(texts: Iterable[str]) -> list[str]:
    """Each whole text and each word in it, the longest first."""
    plain = [text.strip().casefold() for text in texts]
    words = {*plain, *(word for text in plain for word in re.split(r"[\W_]+", text))}
    return sorted((word for word in words if len(word) >= SHORTEST_WORD), key=len, reverse=True)


def without(password: str, words: Iterable[str]) -> str:
    for word in words:
        password = password.replace(word, "")
    return password
