"""The application as a worker process serves it."""

import gc

from litestar import Litestar

from tenantry.app import create_app

__all__ = ("application",)

THRESHOLDS = 5_000, 20, 50
"""Requests that are in work hold some thousand objects: looking for cycles among them finds nothing."""


def application() -> Litestar:
    app = create_app()
    app.on_startup.append(_settle)
    return app


def _settle() -> None:
    """Exempt what was loaded at the start from garbage collection: it stays, and looking through it stops requests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
