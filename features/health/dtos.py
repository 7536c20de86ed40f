"""Wire shapes of health."""

from typing import Literal

import msgspec

from tenantry.readiness import CheckResult


class Health(msgspec.Struct):
    status: Literal["ok", "failing"]
    checks: list[CheckResult]
