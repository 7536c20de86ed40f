"""The file that a tenant's data travels in: a zip with a file of JSON lines for each table, and last the manifest.

Zip, because the length of a file need not be known before it, and because one that was cut off does not open.
"""

import hashlib
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any
from uuid import UUID
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile

import msgspec

from tenantry.errors import Unprocessable

__all__ = ("Archive", "ArchiveRefused", "ArchiveWriter", "Contents", "Manifest")

FORMAT = 1
MANIFEST = "manifest.json"
CHUNK_BYTES = 1024 * 1024
LONGEST_BYTES = 16 * CHUNK_BYTES
"""Of a line, and of the manifest."""


class ArchiveRefused(Unprocessable):
    code = "archive_refused"
    title = "This is not an archive that can be imported here"


class Contents(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rows: int
    sha256: str
    """Of the lines, as hexadecimal digits."""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    revision: str
    """Of the schema that the rows are of."""
    tenant_id: UUID
    slug: str
    name: str
    exported_at: datetime
    tables: dict[str, Contents]
    format: int = FORMAT


class Pipe:
    """What `ZipFile` writes to: it can neither seek nor tell."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""


class ArchiveWriter:
    """Keeps no more of the archive than what was not yet taken."""

    def __init__(self) -> None:
        self._pipe = Pipe()
        self._zip = ZipFile(self._pipe, "w", ZIP_DEFLATED)  # type: ignore[call-overload]  # it asks for less than its type says
        self.tables: dict[str, Contents] = {}

    @contextmanager
    def table(self, name: str) -> "Iterator[TableWriter]":
        with self._zip.open(f"{name}.ndjson", "w", force_zip64=True) as file:
            table = TableWriter(file)
            yield table
        self.tables[name] = Contents(table.rows, table.digest.hexdigest())

    def finish(self, manifest: Manifest) -> bytes:
        self._zip.writestr(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
        self._zip.close()
        return self.take()

    def take(self) -> bytes:
        taken = b"".join(self._pipe.pieces)
        self._pipe.pieces.clear()
        return taken


class TableWriter:
    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.rows, self.digest = file, 0, hashlib.sha256()

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        for row in rows:
            line = msgspec.json.encode(row) + b"\n"
            self._file.write(line)
            self.digest.update(line)
            self.rows += 1


class Archive:
    """One that is read. Names in it are looked up, and never become paths."""

    def __init__(self, file: ZipFile) -> None:
        self._zip = file
        try:
            with file.open(MANIFEST) as stored:
                self.manifest = msgspec.json.decode(stored.read(LONGEST_BYTES), type=Manifest)
        except (KeyError, msgspec.MsgspecError) as error:
            raise ArchiveRefused("It has no manifest that can be read.") from error

    @classmethod
    @contextmanager
    def opened(cls, path: Path) -> "Iterator[Archive]":
        """
        Raises:
            ArchiveRefused: it is none, or damaged; also while it is read.
        """
        try:
            with ZipFile(path) as file:
                yield cls(file)
        except (BadZipFile, EOFError, NotImplementedError, zlib.error) as error:
            raise ArchiveRefused(f"It is damaged: {error}.") from error

    def check(self, revision: str, tables: set[str]) -> None:
        """Read all of it, before anything of it is believed.

        Raises:
            ArchiveRefused: other files, another revision, or a digest that does not fit.
        """
        manifest = self.manifest
        if (manifest.format, manifest.revision) != (FORMAT, revision):
            found = f"format {manifest.format} at revision {manifest.revision}"
            raise ArchiveRefused(f"It has {found}, and here is format {FORMAT} at revision {revision}.")
        expected = sorted([MANIFEST, *(f"{table}.ndjson" for table in tables)])
        if sorted(self._zip.namelist()) != expected or manifest.tables.keys() != tables:
            raise ArchiveRefused("It has other files than the tables that there are.")
        for table, contents in manifest.tables.items():
            with self._zip.open(f"{table}.ndjson") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != contents.sha256:  # type: ignore[arg-type]  # a ZipExtFile reads into buffers as well
                    raise ArchiveRefused(f"{table} was changed after the export.")

    def rows(self, table: str) -> Iterator[dict[str, Any]]:
        with self._zip.open(f"{table}.ndjson") as file:
            while line := file.readline(LONGEST_BYTES):
                try:
                    yield msgspec.json.decode(line, type=dict[str, Any])
                except msgspec.MsgspecError as error:
                    raise ArchiveRefused(f"{table} has a line that is no row: {error}.") from error
