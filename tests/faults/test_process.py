"""The service as a person runs it: a process with a PostgreSQL of its own, stopped, killed and started again."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from time import monotonic, sleep
from typing import Any

import httpx
import pytest

from tenantry.testing import PASSWORD, Mailbox
from tenantry.testing.service import free_port

STOP_SECONDS = 10
Stop = Callable[["subprocess.Popen[bytes]"], None]


class Service:
    """`tenantry run` in `home`, a terminal's process group of its own, with its output in a file."""

    def __init__(self, home: Path, port: int, **settings: str) -> None:
        self.home, self.url = home, f"http://127.0.0.1:{port}"
        hidden = ("TENANTRY_", "PYTHON")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
        # Compiled once for all starts, as it is on a machine that started the service before.
        environment |= {"PYTHONPYCACHEPREFIX": str(home.parent / "pycache"), "PYTHONUNBUFFERED": "1"}
        environment |= {"TENANTRY_HOME": str(home), "TENANTRY_PORT": str(port), "TENANTRY_PUBLIC_URL": self.url}
        self.log = home.parent / "service.log"
        self.began = time.monotonic()
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [str(Path(sys.executable).parent / "tenantry"), "run"], cwd=home.parent, env=environment | settings,
                stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip

    @property
    def output(self) -> str:
        return self.log.read_text()

    def wait_until_ready(self, *, workers: int = 1) -> float:
        """Seconds since the start until every worker has started and readiness answers 200."""
        while time.monotonic() - self.began < 60 and self.process.poll() is None:
            with suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/health/ready", trust_env=False).is_success:
                    break
            time.sleep(0.02)
        seconds = time.monotonic() - self.began
        while self.output.count("Application startup complete") < workers:
            assert time.monotonic() - self.began < 60 and self.process.poll() is None, self.output
            time.sleep(0.02)
        return seconds

    def end(self, how: Stop) -> int:
        """Its exit code; an error when it takes too long."""
        how(self.process)
        return self.process.wait(STOP_SECONDS)

    def postmaster(self) -> int:
        return int((self.home / "postgres" / "data" / "postmaster.pid").read_text().split("\n")[0])

    def client(self, token: str | None = None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=f"{self.url}/api/v1", headers=headers, timeout=10, trust_env=False)

    def founder(self, name: str) -> str:
        """An access token of somebody who has signed up and founded a tenant."""
        account = {"email": f"{name}@example.com", "password": PASSWORD}
        with self.client() as client:
            client.post("/auth/signup", json={**account, "name": name}).raise_for_status()
            mailbox = Mailbox(self.home / "mail")
            mailbox.wait_for(account["email"])
            link = mailbox.token(account["email"])
            client.post("/auth/email/verify", json={"token": link}).raise_for_status()
            token = client.post("/auth/login", json=account).raise_for_status().json()["access_token"]
        with self.client(token) as client:
            tenant = client.post("/tenants", json={"name": name, "slug": name}).raise_for_status().json()
            switched = client.post("/auth/switch", json={"tenant_id": tenant["id"]}).raise_for_status()
        return str(switched.json()["access_token"])


def interrupt(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGINT)


def interrupt_group(process: "subprocess.Popen[bytes]") -> None:
    """What Ctrl-C in a terminal does."""
    os.killpg(process.pid, signal.SIGINT)


def terminate(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """One for all tests of this file, so that PostgreSQL is created once.

    Not below pytest's folder: each new session of root closes that to PostgreSQL's user, under the running server.
    """
    with TemporaryDirectory(prefix="tenantry-process-") as folder:
        yield Path(folder) / "home"


@pytest.fixture(scope="module")
def port() -> int:
    """One for all, since tokens are good for one address."""
    return free_port()


@pytest.fixture
def serve(home: Path, port: int) -> Iterator[Callable[..., Service]]:
    """Starts services; what a failed test leaves running is killed."""

    services: list[Service] = []

    def start(**settings: str) -> Service:
        services.append(Service(home, port, **settings))
        return services[-1]

    yield start
    for pid in processes_of(home):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for service in services:
        service.process.wait()


def processes_of(home: Path) -> list[int]:
    """Processes that name the home in their command or environment, or work inside of it."""
    return [int(folder.name) for folder in Path("/proc").glob("[0-9]*") if os.fsencode(home) in traces(folder)]


def left_behind(home: Path) -> list[int]:
    """Those that do not end by themselves: the helper of multiprocessing has to notice that its parent is gone."""
    deadline = monotonic() + 2
    while (left := processes_of(home)) and monotonic() < deadline:
        sleep(0.02)
    return left


def traces(folder: Path) -> bytes:
    """Empty for a process that has ended, even when nobody has asked for its exit code yet."""
    found = b""
    with suppress(OSError):
        found += (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        found += os.fsencode((folder / "cwd").readlink())
    return found


def names_of_projects(client: httpx.Client) -> set[str]:
    names: set[str] = set()
    cursor: dict[str, Any] = {}
    while True:
        page = client.get("/projects", params={"limit": 200, **cursor}).raise_for_status().json()
        names |= {project["name"] for project in page["items"]}
        if page["next_cursor"] is None:
            return names
        cursor = {"cursor": page["next_cursor"]}


@pytest.mark.parametrize("how", [interrupt, interrupt_group, terminate])
def test_stops_cleanly(serve: Callable[..., Service], home: Path, how: Stop) -> None:
    """Ctrl-C and SIGTERM end service and PostgreSQL in time with code 0 and a clear word, though a client stays.

    From the second on a start answers in seconds.
    """
    created_before = home.exists()
    service = serve()
    seconds = service.wait_until_ready()
    with service.client() as client:
        live = client.get(f"{service.url}/health/live")
        code = service.end(how)

    print(f"{'second' if created_before else 'first'} start: {seconds:.1f} s")  # noqa: T201 -- `pytest -s` shows it
    assert (200, 0) == (live.status_code, code)
    assert "server" not in live.headers
    assert "Stopped." == service.output.splitlines()[-1]
    assert "Traceback" not in service.output
    assert [] == left_behind(home)
    assert not created_before or seconds < 15


def test_workers_stop_cleanly(serve: Callable[..., Service], home: Path) -> None:
    """Two workers serve, and Ctrl-C, which reaches them and their parent at once, ends them all without a traceback."""
    service = serve(TENANTRY_WORKERS="2")
    service.wait_until_ready(workers=2)
    answers = [httpx.get(f"{service.url}/health/ready", trust_env=False).status_code for _ in range(10)]
    code = service.end(interrupt_group)

    assert ([200] * 10, 0) == (answers, code)
    assert "Stopped." == service.output.splitlines()[-1]
    assert "Traceback" not in service.output
    assert [] == left_behind(home)


def test_killed_service_loses_nothing_it_confirmed(serve: Callable[..., Service], home: Path) -> None:
    """After kill -9 amid writes, each project that was answered 201 is there, and Ctrl-C still stops PostgreSQL."""
    service = serve()
    service.wait_until_ready()
    token = service.founder("killed")
    confirmed: set[str] = set()

    def write() -> None:
        with service.client(token) as client, suppress(httpx.TransportError):
            for number in range(100_000):
                if client.post("/projects", json={"name": f"project {number}"}).status_code == 201:
                    confirmed.add(f"project {number}")

    writer = Thread(target=write, daemon=True)
    writer.start()
    while len(confirmed) < 50 and writer.is_alive():
        time.sleep(0.01)
    service.end(subprocess.Popen.kill)
    writer.join(STOP_SECONDS)
    again = serve()
    again.wait_until_ready()
    with again.client(token) as client:
        found = names_of_projects(client)
    code = again.end(interrupt)

    assert len(confirmed) >= 50
    assert set() == confirmed - found
    assert 0 == code
    assert [] == left_behind(home)


def test_killed_postgres_is_an_honest_answer(serve: Callable[..., Service], home: Path) -> None:
    """With PostgreSQL killed each request answers 503 at once, readiness says why, and a restart brings all back."""
    service = serve()
    service.wait_until_ready()
    token = service.founder("bereft")
    with service.client(token) as client:
        client.post("/projects", json={"name": "kept"}).raise_for_status()
        os.kill(service.postmaster(), signal.SIGKILL)
        began = time.monotonic()
        while client.get("/projects").is_success:  # a backend may answer once more before it notices
            assert time.monotonic() - began < 5
        answers = [client.get("/projects") for _ in range(4)]
        answers += [client.post("/projects", json={"name": "lost"}), client.post("/auth/login", json=LOGIN)]
        seconds = time.monotonic() - began
        ready, live = client.get(f"{service.url}/health/ready"), client.get(f"{service.url}/health/live")
    code = service.end(interrupt)
    again = serve()
    again.wait_until_ready()
    with again.client(token) as client:
        found = names_of_projects(client)
    again.end(interrupt)

    assert [(503, "database_unavailable")] * 6 == [(answer.status_code, answer.json()["code"]) for answer in answers]
    assert all("retry-after" in answer.headers for answer in answers)
    assert seconds < 5
    assert (503, 200, 0) == (ready.status_code, live.status_code, code)
    assert {"database"} <= {check["name"] for check in ready.json()["checks"] if not check["ok"]}
    assert {"kept"} == found
    assert [] == left_behind(home)


LOGIN = {"email": "bereft@example.com", "password": PASSWORD}


def test_taken_port_is_one_sentence(serve: Callable[..., Service], home: Path) -> None:
    """A port that another program has ends the start with code 2 and one line that names the setting."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        service = serve(TENANTRY_PORT=port)
        code = service.process.wait(30)

    assert 2 == code
    assert f"TENANTRY_PORT: cannot listen on 127.0.0.1:{port}: Address already in use\n" == service.output
    assert [] == left_behind(home)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("TENANTRY_PORT", "ninety", "TENANTRY_PORT: Expected `int`, got `str` (got 'ninety')\n"),
        ("TENANTRY_PROT", "1", "TENANTRY_PROT: there is no such setting; `tenantry config` lists them\n"),
    ],
)
def test_wrong_setting_is_one_sentence(serve: Callable[..., Service], name: str, value: str, sentence: str) -> None:
    """A setting that is wrong or unknown ends the start with code 2 and one line that names it."""
    service = serve(**{name: value})

    assert (2, sentence) == (service.process.wait(30), service.output)
