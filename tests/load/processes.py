"""The processes under measurement: started and pinned, awaited until they answer, stopped by their ids."""

import http.client
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import cast

import msgspec

from tenantry.testing.service import free_port
from tests.load.machine import on_cores

__all__ = ("Running", "started", "wait_for")

ANSWERS_WITHIN_SECONDS, STOPS_WITHIN_SECONDS = 240, 20


class Running(msgspec.Struct, frozen=True):
    """A server of HTTP on the loopback interface."""

    port: int
    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"


@contextmanager
def started(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, cores: frozenset[int]
) -> Iterator[Running]:
    """`{port}` in the command and the environment becomes a free port; the process may still be starting.

    It gets a session of its own: Ctrl-C reaches the benchmark alone, which then stops what it started.
    """
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    filled = {name: value.replace("{port}", str(port)) for name, value in environment.items()}
    log = folder / "output.log"
    with log.open("wb") as output, on_cores(cores):
        process = subprocess.Popen(
            [part.replace("{port}", str(port)) for part in command],
            cwd=folder, env=filled, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        yield Running(port, process, log)
    finally:
        stop(process)


def stop(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOPS_WITHIN_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for(server: Running, path: str, every: float = 0.02) -> None:
    """Until `path` answers 200; `every` is in seconds, and how exactly the moment is met."""
    deadline = monotonic() + ANSWERS_WITHIN_SECONDS
    while monotonic() < deadline and server.process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        connection.close()
        sleep(every)
    end = server.log.read_text(errors="replace")[-4000:]
    command = " ".join(cast("list[str]", server.process.args))
    raise RuntimeError(f"{command} does not answer on {path}; its output:\n{end}")
