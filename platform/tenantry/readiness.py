"""What must hold before this process takes traffic; plugins add their checks, the health slice asks them."""

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter

import msgspec
import structlog

__all__ = ("CheckResult", "NotReady", "Readiness")

_log = structlog.get_logger("tenantry.readiness")
TIME_LIMIT_SECONDS = 2.0


class NotReady(Exception):
    """A check failed; the message is shown to whoever asks for readiness, so it names no secret."""


class CheckResult(msgspec.Struct, frozen=True):
    name: str
    ok: bool
    critical: bool
    """Whether its failure makes the process unready; the service can do without the others."""
    detail: str
    milliseconds: float


class Readiness:
    def __init__(self) -> None:
        self._checks: dict[str, tuple[Callable[[], Awaitable[str]], bool]] = {}

    def add(self, name: str, check: Callable[[], Awaitable[str]], *, critical: bool = True) -> None:
        """`check` answers a short description of what it saw, or raises."""
        self._checks[name] = check, critical

    async def results(self) -> list[CheckResult]:
        """All checks at once, each within the time limit."""
        return list(await asyncio.gather(*(self._run(name, *check) for name, check in self._checks.items())))

    async def _run(self, name: str, check: Callable[[], Awaitable[str]], critical: bool) -> CheckResult:
        started = perf_counter()
        try:
            async with asyncio.timeout(TIME_LIMIT_SECONDS):
                ok, detail = True, await check()
        except NotReady as error:
            ok, detail = False, str(error)
        except TimeoutError:
            ok, detail = False, f"no answer within {TIME_LIMIT_SECONDS:g} s"
        except Exception as error:
            _log.warning("readiness.check_failed", check=name, error=repr(error))
            ok, detail = False, f"failed: {type(error).__name__}"
        return CheckResult(name, ok, critical, detail, round((perf_counter() - started) * 1000, 1))
