"""Instructions of parts of a Python program, counted by callgrind: no busy machine disturbs that.

Under valgrind, a program talks to its tool by instructions that do nothing elsewhere; here they are as bytes, since
Python has no other way to say them. Linux on x86-64 only; Debian has valgrind in the package of that name.
"""

import ctypes
import mmap
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ("Counted", "run_under_callgrind")

FOLDER = "CALLGRIND_FOLDER"
REQUESTS = ord("C") << 24 | ord("T") << 16
DUMP, ZERO, START, STOP = (REQUESTS + number for number in (0, 1, 4, 5))
CODE = bytes.fromhex(
    "4889f8 31d2"  # rax is what was given, rdx the answer of who does not run under valgrind
    "48c1c703 48c1c70d 48c1c73d 48c1c733 4887db"  # the magic words: rdi is turned once round, rbx swapped with itself
    "4889d0 c3"
)


class Counted:
    """Inside of a program that callgrind runs: `with counted("name"):` for each part, as often as one likes."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self._memory.write(CODE)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self._call = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.POINTER(ctypes.c_ulong))(address)
        self._names: list[str] = []

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        self._say(ZERO)
        self._say(START)
        yield
        self._say(DUMP)  # before it stops: that forgets
        self._say(STOP)
        self._names.append(name)

    def found(self) -> list[tuple[str, int]]:
        """For each part, in order, its instructions."""
        folder = Path(os.environ[FOLDER])
        return [
            (name, instructions(folder / f"out.{os.getpid()}.{number}")) for number, name in enumerate(self._names, 1)
        ]

    def _say(self, request: int) -> None:
        self._call((ctypes.c_ulong * 6)(request))


def instructions(dump: Path) -> int:
    return int(re.findall(r"^(?:totals|summary): (\d+)", dump.read_text(), re.MULTILINE)[0])


def run_under_callgrind(module: str, folder: Path, **environment: str) -> None:
    """Run this Python with `-m module` once more, under callgrind."""
    options = ["--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/out.%p", "-q"]
    fixed = {"PYTHONHASHSEED": "0", FOLDER: str(folder), **environment}
    command = ["valgrind", *options, sys.executable, "-m", module]
    subprocess.run(command, env=os.environ | fixed, check=True)
