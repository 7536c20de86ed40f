"""The service as people run it: a process of its own, `tenantry run`, that listens on a port."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import httpx
import msgspec

from tenantry.config import Settings, variable

__all__ = ("LiveService", "running_service")

COMMAND = (sys.executable, "-c", "from tenantry.cli import main; main()", "run")
READY_SECONDS, STOP_SECONDS = 60, 20


@dataclass(frozen=True)
class LiveService:
    url: str
    process: "subprocess.Popen[bytes]"
    log: Path


@contextmanager
def running_service(
    settings: Settings, folder: Path, *, name: str = "127.0.0.1", **environment: str
) -> Iterator[LiveService]:
    """Serve with `settings` inside the block; `environment`, such as `TENANTRY_WORKERS="2"`, counts more than they do.

    The process runs in `folder`, where no `.env` is, and writes `service.log` there. `name` is what its address says.
    """
    port = free_port()
    url = f"http://{name}:{port}"
    served = msgspec.structs.replace(settings, host="127.0.0.1", port=port, public_url=url)
    log = folder / "service.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            COMMAND, cwd=folder, env=environment_of(served) | environment, stdout=output, stderr=subprocess.STDOUT
        )
    service = LiveService(url, process, log)
    try:
        wait_until_ready(service)
        yield service
    finally:
        stop(service)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment_of(settings: Settings) -> dict[str, str]:
    """This process's environment with these settings, and with none of its own."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TENANTRY_")}
    values = {variable(field): getattr(settings, field) for field in settings.__struct_fields__}
    return inherited | {name: str(value) for name, value in values.items() if value is not None}


def wait_until_ready(service: LiveService) -> None:
    deadline = monotonic() + READY_SECONDS
    while monotonic() < deadline and service.process.poll() is None:
        try:
            # Whoever has deleted the slice `health` gets a 404, from a service that is up.
            if not httpx.get(f"{service.url}/health/ready", trust_env=False).is_server_error:
                return
        except httpx.TransportError:
            pass
        sleep(0.05)
    state = "is not ready" if service.process.poll() is None else f"ended with code {service.process.returncode}"
    raise RuntimeError(f"the service {state}; its log:\n{service.log.read_text(errors='replace')[-4000:]}")


def stop(service: LiveService) -> None:
    """As Ctrl-C does; what does not stop by then is killed, and a fault."""
    if service.process.poll() is not None:
        return
    service.process.send_signal(signal.SIGINT)
    try:
        service.process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        service.process.kill()
        service.process.wait()
        raise
