"""Mail waits in the database and is sent in the background: no server that is down loses it or makes anybody wait."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import msgspec
import pytest
from litestar import Litestar
from sqlalchemy import text, update

from tenantry.app import create_app
from tenantry.clock import frozen_at, now
from tenantry.config import Settings
from tenantry.db.database import Database
from tenantry.ids import new_id
from tenantry.mail import Mail, MailPlugin
from tenantry.mail.delivery import LEASE, MOST_ATTEMPTS
from tenantry.mail.models import QueuedMailRow
from tenantry.mail.seal import MailSeal
from tenantry.observability.metrics import metrics
from tenantry.security.vault import Vault
from tenantry.testing import PASSWORD, Api, asgi_client
from tenantry.testing.databases import DatabaseUrls, TestDatabases
from tenantry.testing.service import free_port
from tests.contract.mail_servers import Inbox, serving, smtp

LONG = timedelta(hours=2)
QUEUE = text("SELECT id, attempts, due_at, sealed FROM mail_queue ORDER BY id")


@pytest.fixture(scope="module")
def urls(databases: TestDatabases, worker_id: str) -> Iterator[DatabaseUrls]:
    """Of a database whose mail nobody else sends."""
    with databases.clone(f"mail_{worker_id}") as urls:
        yield urls


class Post:
    """A service with a mail server, which may be down."""

    def __init__(self, app: Litestar, api: Api) -> None:
        self.app, self.api = app, api
        self.plugin = app.plugins.get(MailPlugin)
        self.database: Database = app.state.database

    async def sign_up(self) -> tuple[str, httpx.Response]:
        email = f"ada-{new_id().hex}@example.com"
        return email, await self.api.post("/auth/signup", json={"email": email, "password": PASSWORD, "name": "Ada"})

    async def waiting(self) -> list[tuple[int, bool]]:
        """Attempts, and whether it waits for another."""
        async with self.database.transaction() as unit_of_work:
            rows = await unit_of_work.rows(QUEUE)
        return [(row.attempts, row.due_at > now()) for row in rows]

    async def drain(self, after: timedelta = timedelta(0)) -> int:
        with frozen_at(now() + after):
            return await self.plugin.delivery.drain()


@asynccontextmanager
async def serving_mail(settings: Settings, urls: DatabaseUrls, port: int, **changes: object) -> AsyncIterator[Post]:
    own = {"database_url": urls.runtime, "smtp_url": f"smtp://127.0.0.1:{port}", "database_pool_size": 3} | changes
    service = create_app(msgspec.structs.replace(settings, **own))
    async with service.lifespan():
        post = Post(service, Api(asgi_client(service)))
        yield post
        async with post.database.transaction() as unit_of_work:
            await unit_of_work.execute(text("DELETE FROM mail_queue"))
        await post.api.client.aclose()


async def test_server_that_is_down_loses_nothing(app: Litestar, settings: Settings, urls: DatabaseUrls) -> None:
    """A sign-up is 202 while the mail server is down; once it is up its mail arrives, and the queue is empty."""
    port, inbox = free_port(), Inbox("451 not yet")
    async with serving_mail(settings, urls, port) as post:
        email, response = await post.sign_up()
        await post.drain()
        down = await post.waiting()
        async with serving(smtp(inbox), port):
            not_due = await post.drain()
            tried = [await post.drain(LONG), await post.drain(LONG * 2)]
        up = await post.waiting()
        first, second = inbox.messages
        body = second.get_body(("plain",))
        assert body is not None
        token = body.get_content().partition("?token=")[2].split()[0]
        verified = await post.api.post("/auth/email/verify", json={"token": token})

    assert (202, 204) == (response.status_code, verified.status_code)
    assert ([(1, True)], 0, [1, 1], []) == (down, not_due, tried, up)
    assert [email] * 2 == [message["To"] for message in (first, second)]
    assert first["Message-ID"] == second["Message-ID"]


async def test_worker_sends_as_soon_as_it_is_kept(app: Litestar, settings: Settings, urls: DatabaseUrls) -> None:
    """Each worker has a task that sends in the background, woken by the commit and not by its clock."""
    inbox = Inbox()
    async with serving(smtp(inbox)) as port, serving_mail(settings, urls, port, send_mail=True) as post:
        email, response = await post.sign_up()
        async with asyncio.timeout(30):
            await inbox.arrived.wait()

    assert (202, [email]) == (response.status_code, [message["To"] for message in inbox.messages])


async def test_other_workers_send_what_one_has_kept(app: Litestar, settings: Settings, urls: DatabaseUrls) -> None:
    """Mail of a process that has died, or sends none, leaves with the next round of any other."""
    inbox = Inbox()
    async with serving(smtp(inbox)) as port, serving_mail(settings, urls, port) as dead:
        email, _ = await dead.sign_up()
        async with serving_mail(settings, urls, port, send_mail=True), asyncio.timeout(30):
            await inbox.arrived.wait()

    assert [email] == [message["To"] for message in inbox.messages]


async def test_no_two_send_the_same(app: Litestar, settings: Settings, urls: DatabaseUrls) -> None:
    """Of mail that several workers find at the same time each leaves once."""
    inbox = Inbox()
    async with serving(smtp(inbox)) as port, serving_mail(settings, urls, port) as post:
        sent = [(await post.sign_up())[0] for _ in range(3)]
        await asyncio.gather(*(post.plugin.delivery.drain() for _ in range(3)))

    assert sorted(sent) == sorted(message["To"] for message in inbox.messages)


async def test_lease_of_a_dead_worker_ends(app: Litestar, settings: Settings, urls: DatabaseUrls) -> None:
    """A mail that somebody took and never sent is taken by another after the lease, and not before."""
    inbox = Inbox()
    async with serving(smtp(inbox)) as port, serving_mail(settings, urls, port) as post:
        email, _ = await post.sign_up()
        taken = await post.plugin.delivery._take(now())
        tried = [await post.drain(), await post.drain(LEASE * 2)]

    assert (1, [0, 1]) == (len(taken), tried)
    assert [email] == [message["To"] for message in inbox.messages]


async def test_giving_up_is_told(app: Litestar, settings: Settings, urls: DatabaseUrls) -> None:
    """After the last attempt, or a final refusal, a mail is gone; the metric counts it, and others are not touched."""
    inbox = Inbox("554 never", "451 not yet")
    counted = metrics.mails.labels("given_up")._value.get
    async with serving(smtp(inbox)) as port, serving_mail(settings, urls, port) as post:
        before = counted()
        await post.sign_up()
        await post.drain()
        refused = await post.waiting()
        await post.sign_up()
        async with post.database.transaction() as unit_of_work:
            await unit_of_work.execute(update(QueuedMailRow).values(attempts=MOST_ATTEMPTS - 1))
        await post.drain()
        worn_out = await post.waiting()

    assert ([], [], before + 2) == (refused, worn_out, counted())


async def test_mail_of_what_did_not_happen_stays(app: Litestar, settings: Settings, urls: DatabaseUrls) -> None:
    """A mail is kept in the transaction of what it tells of: rolled back, it never leaves."""
    inbox = Inbox()
    async with serving(smtp(inbox)) as port, serving_mail(settings, urls, port) as post:
        unit_of_work = post.database.unit_of_work()
        await post.plugin.mailer.send(Mail("ada@example.com", "Hello", "you"), unit_of_work)
        await unit_of_work.close()
        tried = await post.drain()

    assert (0, []) == (tried, inbox.messages)


async def test_queue_tells_nothing(app: Litestar, settings: Settings, urls: DatabaseUrls) -> None:
    """Who reads the table finds no address and no link; a sealed mail fits no other row and no other key."""

    inbox = Inbox()
    async with serving(smtp(inbox)) as port, serving_mail(settings, urls, port) as post:
        email, _ = await post.sign_up()
        async with post.database.transaction() as unit_of_work:
            (row,) = await unit_of_work.rows(QUEUE)
            other = MailSeal(Vault([bytes(32)])).close(row.id, Mail(email, "Hello", "you"))
            moved = post.plugin.mailer._seal.close(new_id(), Mail(email, "Hello", "you"))
            await unit_of_work.execute(text("UPDATE mail_queue SET due_at = :now").bindparams(now=now() + LONG))
        for sealed in (other, moved):
            async with post.database.transaction() as unit_of_work:
                insert = text("INSERT INTO mail_queue VALUES (:id, :now, :now, 0, :sealed)")
                await unit_of_work.execute(insert.bindparams(id=new_id(), now=now(), sealed=sealed))
        tried = await post.drain()

    assert email.encode() not in row.sealed
    assert b"token" not in row.sealed
    assert (2, []) == (tried, inbox.messages)


async def test_answer_waits_for_no_mail(app: Litestar, settings: Settings, urls: DatabaseUrls) -> None:
    """Whether there is something to send again or not, `resend` writes one row, and no server that hangs delays it."""
    async with serving(asyncio.Protocol) as port, serving_mail(settings, urls, port) as post:
        email, _ = await post.sign_up()
        before = len(await post.waiting())
        rows = []
        for address in (email, f"nobody-{new_id().hex}@example.com"):
            response = await post.api.post("/auth/email/resend", json={"email": address})
            rows.append((response.status_code, len(await post.waiting())))

    assert [(202, before + 1), (202, before + 2)] == rows
