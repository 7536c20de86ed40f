"""What every proof over HTTP works with."""

import pytest
from litestar import Litestar

from tests.isolation.operations import Contract


@pytest.fixture(scope="session")
def contract(app: Litestar) -> Contract:
    return Contract(app)
