"""The machine: which cores are whose, what it is, and what a process takes of it."""

import os
import platform
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version

import msgspec
import psutil

__all__ = ("Layout", "Memory", "busy_seconds", "computed_seconds", "facts", "layout", "memory_of", "on_cores", "pin",
           "tree_seconds", "workers_of")  # fmt: skip

PACKAGES = ("litestar", "sqlalchemy", "psycopg", "msgspec", "uvicorn", "uvloop", "httptools", "pyjwt", "asyncpg",
            "fastapi", "starlette", "pydantic", "matplotlib", "psutil")  # fmt: skip
MIB = 1024 * 1024
Cores = frozenset[int]


class Layout(msgspec.Struct, frozen=True):
    """Empty sets where the system cannot pin."""

    server: Cores
    postgres: Cores
    generator: Cores
    every: Cores

    def says(self) -> str:
        if not self.every:
            return "nothing is pinned: this system cannot"
        names = {"server": self.server, "PostgreSQL": self.postgres, "generator": self.generator}
        return ", ".join(f"{name} on {', '.join(map(str, sorted(cores)))}" for name, cores in names.items())


class Memory(msgspec.Struct, frozen=True):
    """In MiB. `pss` counts what processes share only once; None where the system does not tell."""

    rss: float
    pss: float | None


def layout() -> Layout:
    """The server has a core of its own; with two, PostgreSQL and the generator share the other."""
    if not hasattr(os, "sched_setaffinity"):
        return Layout(*[Cores()] * 4)
    first, *others = cores = sorted(os.sched_getaffinity(0))
    if not others:
        return Layout(*[Cores(cores)] * 4)
    return Layout(Cores({first}), Cores(others[1:] or others), Cores(others[:1]), Cores(cores))


@contextmanager
def on_cores(cores: Collection[int]) -> Iterator[None]:
    """Run this thread, and what it starts inside the block, on these cores only."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def pin(pid: int, cores: Collection[int]) -> None:
    """Move a process, its threads and its children; what they start later stays there as well."""
    root = psutil.Process(pid)
    for process in (root, *root.children(recursive=True)) if cores else ():
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            for thread in process.threads():
                os.sched_setaffinity(thread.id, cores)


def workers_of(pid: int) -> list[int]:
    """The processes that serve: this one, or its children where there are several workers."""
    children = [child for child in psutil.Process(pid).children() if "spawn_main" in " ".join(child.cmdline())]
    return [child.pid for child in children] or [pid]


def memory_of(pid: int) -> Memory:
    used = psutil.Process(pid).memory_full_info()
    pss = getattr(used, "pss", None)
    return Memory(used.rss / MIB, pss / MIB if pss is not None else None)


def computed_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def tree_seconds(pids: Collection[int]) -> float:
    """Computed so far by these processes, their children, and the children that they have buried."""
    found = 0.0
    for pid in pids:
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with suppress(psutil.Error):
                found += sum(process.cpu_times()[:4])
    return found


def busy_seconds(cores: Collection[int] = ()) -> float:
    """Computed so far by whoever it was, on these cores; without any named, on all."""
    times = [t for core, t in enumerate(psutil.cpu_times(percpu=True)) if core in cores or not cores]
    return float(sum(sum(t[:8]) - t.idle - getattr(t, "iowait", 0.0) for t in times))


def facts() -> dict[str, str]:
    """What a reader must know to compare with other runs."""
    found = {name: version(name) for name in PACKAGES}
    return {
        "cores": str(psutil.cpu_count()),
        "processor": processor(),
        "memory": f"{psutil.virtual_memory().total / MIB / 1024:.0f} GiB",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
    } | found


def processor() -> str:
    with suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123 -- not a file to keep
        return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    return platform.processor() or "unknown"
