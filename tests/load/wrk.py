"""wrk as the load generator, where it is on the PATH: the same requests, sent by a program in C.

wrk corrects its latencies for answers that it waited for instead of sending; all contenders alike.
"""

import math
import shutil
import subprocess
from array import array
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tests.load.generator import Call, Sample
from tests.load.machine import on_cores

__all__ = ("available", "drive")

SCRIPT = """
local heads, tails, number, turn = {%(heads)s}, {%(tails)s}, %(number)d, 0
function request()
  turn = turn %% #heads + 1
  if tails[turn] == "" then return heads[turn] end
  number = number + 1
  return heads[turn] .. string.format("%%012d", number) .. tails[turn]
end
function done(summary, latency, requests)
  local values = {}
  for i = 1, #latency do
    local value, times = latency(i)
    values[i] = string.format("[%%d,%%d]", value, times)
  end
  local failed = summary.errors
  io.write(string.format(
    '\\n{"requests":%%d,"microseconds":%%d,"latencies":[%%s],"failures":{"status":%%d,"connect":%%d,"read":%%d,' ..
    '"write":%%d,"timeout":%%d}}\\n', summary.requests, summary.duration, table.concat(values, ","), failed.status,
    failed.connect, failed.read, failed.write, failed.timeout))
end
"""


class Outcome(msgspec.Struct):
    requests: int
    microseconds: int
    latencies: list[tuple[int, int]]
    failures: dict[str, int]


def available() -> bool:
    return shutil.which("wrk") is not None


def drive(
    port: int, calls: Sequence[Call], *, clients: int, seconds: float, number: int, folder: Path, cores: frozenset[int]
) -> Sample:
    """As the bundled generator's; wrk measures whole seconds, and warms nothing up."""
    script = folder / "wrk.lua"
    # JSON writes strings as Lua reads them.
    heads, tails = (
        ",".join(msgspec.json.encode((part or b"").decode()).decode() for part in parts)
        for parts in zip(*((call.head, call.tail) for call in calls), strict=True)
    )
    script.write_text(SCRIPT % {"heads": heads, "tails": tails, "number": number})
    options = ["-t1", f"-c{clients}", f"-d{math.ceil(seconds)}s", "--timeout", "10s", "-s", str(script)]
    with on_cores(cores):
        run = subprocess.run(["wrk", *options, f"http://127.0.0.1:{port}"], check=True, capture_output=True)
    outcome = msgspec.json.decode(run.stdout.rstrip().rpartition(b"\n")[2], type=Outcome)
    latencies = array("I")
    for value, times in outcome.latencies:
        latencies.extend([value] * times)
    failures = {kind: times for kind, times in outcome.failures.items() if times}
    return Sample(outcome.microseconds / 1e6, outcome.requests - outcome.failures["status"], latencies, failures)
