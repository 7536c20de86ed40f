"""`just bench` works from start to end, in its smallest form."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep

import msgspec
import psutil
import pytest

EXTRA = ("asyncpg", "fastapi", "matplotlib")
ROOT = Path(__file__).parents[2]
SMALLEST = ("--quick", "--contender=service", "--contender=limit", "--seconds=0.2", "--rounds=1", "--rows=3000")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not all(map(find_spec, EXTRA)), reason="the extra `bench` is not installed here"),
]


@pytest.fixture
def benchmark(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "tests.load.benchmark", *SMALLEST, "--output", str(tmp_path / "output")]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        yield process
        process.kill()


def left_behind(folder: Path) -> list[str]:
    """Processes that work in a folder or were told of it."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if str(folder) in " ".join([*process.cmdline(), process.cwd()]):
                found.append(" ".join(process.cmdline()))
    return found


def test_smallest_run(benchmark: "subprocess.Popen[str]", tmp_path: Path) -> None:
    """It measures its scenarios, judges the targets it can, and leaves a document, a picture and no process."""
    output, _ = benchmark.communicate(timeout=150)

    assert 0 == benchmark.returncode, output
    found = msgspec.json.decode((tmp_path / "output" / "results.json").read_bytes())
    measured = {(c["scenario"], c["contender"]) for c in found["contest"] if all(s["requests"] for s in c["samples"])}
    scenarios = ("get", "list", "post", "patch")
    assert {(scenario, name) for scenario in scenarios for name in ("service", "limit")} == measured
    assert {"get", "list", "pages", "pages by name"} == {cell["scenario"] for cell in found["growth"]}
    assert 1 == len(found["logins"]["service"]) == len(found["first_answer_seconds"])
    assert "GET: service against limit, requests a second" in {verdict["target"] for verdict in found["verdicts"]}
    assert (tmp_path / "output" / "results.png").read_bytes().startswith(b"\x89PNG")
    assert [] == left_behind(tmp_path)


def test_interrupted_run_leaves_nothing(benchmark: "subprocess.Popen[str]", tmp_path: Path) -> None:
    """Ctrl-C stops the server, the contenders and the database, and removes their folder."""
    assert benchmark.stdout is not None
    while "round 1" not in benchmark.stdout.readline():
        assert benchmark.poll() is None
    benchmark.send_signal(signal.SIGINT)
    benchmark.communicate(timeout=60)

    deadline = monotonic() + 5
    while left_behind(tmp_path) and monotonic() < deadline:
        sleep(0.1)

    assert (130, [], []) == (benchmark.returncode, left_behind(tmp_path), list(tmp_path.iterdir()))
