"""What a caller is told who comes too often."""

from http import HTTPStatus
from typing import Any

from tenantry.errors import AppError, Unavailable

__all__ = ("CannotCount", "Overloaded", "PlanRateExceeded", "RateLimited")


class TooMany(AppError):
    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, wait: int, **members: Any) -> None:
        super().__init__(headers={"Retry-After": str(wait)}, **members)


class RateLimited(TooMany):
    """Members of the problem: the `policy` of the header `RateLimit-Policy`, and its `limit`."""

    code = "rate_limited"
    title = "There were too many requests; wait before the next one"


class PlanRateExceeded(TooMany):
    """Members of the problem: `quota`, its `limit` in a minute, and the `plan` that sets it."""

    code = "plan_rate_exceeded"
    title = "The tenant's plan does not include more requests in a minute"


class CannotCount(Unavailable):
    code = "rate_unknown"
    title = "This is only served while requests can be counted, which is not possible right now"


class Overloaded(Unavailable):
    code = "overloaded"
    title = "There is more to do than can be done; try again in a moment"
