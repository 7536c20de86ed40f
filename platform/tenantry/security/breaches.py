"""Whether a password is among those that were stolen somewhere, asked of a service that does not learn which.

It is told the first five of 40 digits of a SHA-1, by which about a thousand known passwords begin, and answers all of
these, filled up so that not even their number tells anything: https://haveibeenpwned.com/API/v3#PwnedPasswords.
"""

import asyncio
import hashlib

import httpx
import structlog

__all__ = ("BreachedPasswords",)

_log = structlog.get_logger("tenantry.security")
PREFIX_LENGTH = 5
LARGEST_ANSWER = 1_048_576
HEADERS = {"Add-Padding": "true", "User-Agent": "tenantry", "Accept": "text/plain"}


class BreachedPasswords:
    """It fails open: while the service does not answer, people can still choose a password, and it is logged."""

    def __init__(self, url: str, timeout_seconds: float) -> None:
        self._url = url.rstrip("/")
        self._timeout = timeout_seconds
        self._client = httpx.AsyncClient(headers=HEADERS, timeout=timeout_seconds)

    async def include(self, password: str) -> bool:
        digest = hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper()
        prefix, suffix = digest[:PREFIX_LENGTH], digest[PREFIX_LENGTH:]
        try:
            # httpx's own timeout counts anew for each piece of the answer.
            async with asyncio.timeout(self._timeout):
                lines = (await self._range(prefix)).splitlines()
            counts = dict(line.strip().upper().split(":", 1) for line in lines if line.strip())
            return int(counts.get(suffix, 0)) > 0
        except (httpx.HTTPError, TimeoutError, ValueError) as error:
            _log.warning("breached_passwords.unknown", error=repr(error))
            return False

    async def close(self) -> None:
        await self._client.aclose()

    async def _range(self, prefix: str) -> str:
        async with self._client.stream("GET", f"{self._url}/range/{prefix}") as response:
            if response.status_code != httpx.codes.OK:
                raise ValueError(f"status {response.status_code}")
            answer = bytearray()
            async for part in response.aiter_bytes():
                answer += part
                if len(answer) > LARGEST_ANSWER:
                    raise ValueError("the answer is too long")
        return answer.decode("ascii")
