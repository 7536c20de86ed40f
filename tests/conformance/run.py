"""`just conform`: schemathesis sends what the OpenAPI document allows, and what it does not, to the service as it runs.

Every operation is tried, with the examples of the document, at the edges of its schemas, at random, and in chains in
which an operation uses what another one made. Nothing may be a 5xx, or another answer than the document describes.
"""

import asyncio
import secrets
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import rich_click as click

from tenantry.config import Settings
from tenantry.security.passwords import PasswordService
from tenantry.testing.databases import DatabaseUrls, TestDatabases
from tenantry.testing.service import running_service
from tenantry.testing.world import PASSWORD, Account
from tests.faults.planted import serving

CONFIG = Path(__file__).with_name("schemathesis.toml")
FIXED_SEED = 1
# What would end the session, or the tenant, that all others are tried with. The proofs of isolation try them.
SPARED = r"^/api/v1/(auth/logout|auth/sessions.*|tenants/current|members/leave|members/\{user_id\}.*|me)$"


@click.command()
@click.option("--seed", type=int, help="By default first a fixed one, then a random one.")
@click.option("--examples", type=click.IntRange(1), default=20, show_default=True, help="For each operation.")
@click.option("--seconds", type=click.IntRange(1), default=900, show_default=True, help="Longest for each seed.")
def conform(seed: int | None, examples: int, seconds: int) -> None:
    """Look for answers that the OpenAPI document does not promise."""
    seeds = [seed] if seed is not None else [FIXED_SEED, secrets.randbelow(1_000_000)]
    with TemporaryDirectory(prefix="tenantry-", ignore_cleanup_errors=True) as folder:
        databases = TestDatabases(Path(folder), "conform", None)
        with databases.server():
            sys.exit(max(attempt(databases, Path(folder), each, examples, seconds) for each in seeds))


def attempt(databases: TestDatabases, folder: Path, seed: int, examples: int, seconds: int) -> int:
    """The exit code of schemathesis, with a database of its own."""
    with databases.clone(f"conform_{seed}") as urls:
        settings = Settings(home=str(folder), database_url=urls.runtime, access_token_seconds=3600)
        owner = asyncio.run(populated(urls, settings))
        with running_service(settings, folder) as service:
            token = logged_in(service.url, owner)
            command: list[str] = [
                str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(CONFIG),
                "run", f"{service.url}/docs/openapi.json", "--seed", str(seed), "--max-examples", str(examples),
                "--header", f"Authorization: Bearer {token}", "--exclude-path-regex", SPARED,
            ]  # fmt: skip
            return subprocess.run(command, check=False, timeout=seconds, cwd=folder).returncode


async def populated(urls: DatabaseUrls, settings: Settings) -> Account:
    """The owner of a tenant that has somebody in each role."""
    async with serving(settings) as served:
        passwords = PasswordService(settings)
        served.world.password_hash = await passwords.hash(PASSWORD)
        passwords.close()
        return (await served.world.tenant("acme")).owner


def logged_in(url: str, owner: Account) -> str:
    body = {"email": owner.email, "password": owner.password}
    answer = httpx.post(f"{url}/api/v1/auth/login", json=body, trust_env=False).raise_for_status()
    token: str = answer.json()["access_token"]
    return token
