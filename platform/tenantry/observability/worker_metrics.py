"""Where several workers count together. Kept apart from what counts: prometheus-client decides at its import."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ("METRICS_FOLDER", "worker_metrics")

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # mkdtemp makes a folder of its own there


@contextmanager
def worker_metrics(workers: int) -> Iterator[None]:
    """Inside the block processes that start find one folder for their counts, unless there is but one, or a folder.

    It lies in memory where that can be: a container with a read-only file system has no other place.

    Raises:
        FileNotFoundError: there is nowhere to write to.
    """
    if workers == 1 or METRICS_FOLDER in os.environ:
        yield
        return
    parent = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="tenantry-metrics-", dir=parent, ignore_cleanup_errors=True) as folder:
        os.environ[METRICS_FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[METRICS_FOLDER]
