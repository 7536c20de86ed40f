"""Whatever is sent to an operation that takes a body, it is neither an error of the service nor does it cost memory."""

import logging
import re
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import pytest

from tenantry.config import Settings
from tenantry.ids import new_id
from tenantry.testing import TenantHandle
from tenantry.testing.service import LiveService, running_service
from tests.contract.malformed import bodies_of, raw_requests

_log = logging.getLogger(__name__)

MOST_GROWTH = 64 * 1024  # KiB
PATIENCE_SECONDS = 20


class Target(NamedTuple):
    method: str
    path: str
    fields: list[str]
    media_type: str


@pytest.fixture
def fresh(settings: Settings, tmp_path: Path) -> Iterator[LiveService]:
    """A process that has not yet needed much memory for anything else."""
    with running_service(settings, tmp_path, TENANTRY_PUBLIC_URL=settings.base_url) as service:  # who issues tokens
        yield service


def targets(document: dict[str, Any]) -> Iterator[Target]:
    """All operations that take a body; what they are about never was."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            for media_type, media in operation.get("requestBody", {}).get("content", {}).items():
                schema = media["schema"]
                schema = (schema.get("oneOf") or schema.get("anyOf") or [schema])[0]
                fields = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]].get("properties", {})
                yield Target(method.upper(), re.sub(r"{\w+}", str(new_id()), path), list(fields), media_type)


def kibibytes(service: LiveService, name: str) -> int:
    """Of resident memory: `VmRSS` is what there is, `VmHWM` the most that there was."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return int(re.findall(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)[0])


def answer_to(service: LiveService, request: bytes) -> int:
    """The status; 0 where the connection ends, or waits for more, without one."""
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname, address.port), timeout=PATIENCE_SECONDS) as connection:
        with suppress(OSError):
            connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        try:
            answer = connection.recv(64)
        except ConnectionResetError:
            return 0
    return int(answer[9:12]) if answer else 0


class Damage(NamedTuple):
    operations: int
    answers: Counter[int]
    faults: list[str]
    grown: int
    """In KiB, from before the first malformed request to the most at any moment."""

    def says(self) -> str:
        answers = dict(sorted(self.answers.items()))
        return f"{self.operations} operations, {answers}: {self.grown / 1024:.1f} MiB more"


def attack(service: LiveService, token: str) -> Damage:
    found: Counter[int] = Counter()
    faults: list[str] = []
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=service.url, headers=headers, trust_env=False, timeout=PATIENCE_SECONDS) as client:
        operations = list(targets(client.get("/docs/openapi.json").json()))
        for target in operations:
            client.request(target.method, target.path, json={})
        before = kibibytes(service, "VmRSS")
        for target in operations:
            for name, status in statuses(service, client, target, token):
                found[status] += 1
                if status >= 500:
                    faults.append(f"{target.method} {target.path} {name}: {status}")
    return Damage(len(operations), found, faults, kibibytes(service, "VmHWM") - before)


def statuses(service: LiveService, client: httpx.Client, target: Target, token: str) -> Iterator[tuple[str, int]]:
    for sent in bodies_of(target.fields, target.media_type):
        with suppress(httpx.TransportError):  # an early answer to a large head or body may end the connection
            answer = client.request(target.method, target.path, content=sent.content, headers=dict(sent.headers))
            yield sent.name, answer.status_code
    for request in raw_requests(target.method, target.path, token):
        yield repr(request[-80:]), answer_to(service, request)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the memory of a process like this")
@pytest.mark.slow
async def test_malformed_input_costs_little(fresh: LiveService, acme: TenantHandle) -> None:
    """Depth, size, numbers, texts, codings, parts, heads and framing: no 5xx, and at most 64 MiB more of memory."""
    damage = attack(fresh, acme.owner.token)
    _log.info("%s", damage.says())
    still = create(fresh, acme.owner.token)

    assert [] == damage.faults
    assert 40 < damage.operations
    assert 1_500 < damage.answers.total()
    assert 201 == still
    assert damage.grown < MOST_GROWTH, damage.says()


def create(service: LiveService, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    url = f"{service.url}/api/v1/projects"
    return httpx.post(url, json={"name": "Apollo"}, headers=headers, trust_env=False).status_code
