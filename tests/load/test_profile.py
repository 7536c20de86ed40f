import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.load.profile_graph import flame_graph
from tests.load.profile_layers import LAYERS, OTHER, layer_of
from tests.load.profile_sampler import Samples

START = "main (tenantry/cli.py);Runner.run (asyncio/runners.py)"
SERVED = f"{START};RequestResponseCycle.run_asgi (uvicorn/protocols/http/httptools_impl.py)"
OUTERMOST = f"{SERVED};OutermostLayer.__call__ (tenantry/http/headers.py)"
STACKS = {
    f"{OUTERMOST};log_access (tenantry/observability/access.py)": ("log line", 3),
    f"{OUTERMOST};setdefault (<frozen _collections_abc>)": ("outermost layer", 2),
    f"{SERVED};Repository.get (tenantry/db/repository.py)": ("unit of work, repository", 2),
    f"{SERVED};PipelineConnection._send (tenantry/db/lane/pipeline.py)": ("fast lane", 1),
    f"{SERVED};ApiRequest.body (tenantry/http/request.py);Request.body (litestar/connection/request.py)": (
        "request body", 1,
    ),
    START: ("sockets, HTTP (uvicorn)", 1),
    "<module> (<string>)": (OTHER, 2),
}  # fmt: skip
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(("stack", "layer"), [(stack, layer) for stack, (layer, _) in STACKS.items()])
def test_innermost_known_frame_names_the_layer(stack: str, layer: str) -> None:
    """Time in a library that serves many layers counts for the one that called it."""
    assert layer == layer_of(stack)


def test_widths_of_the_graph() -> None:
    """A frame is as wide as its share of all samples, and lies within its caller."""
    samples = Samples(1.0, {stack: times for stack, (_, times) in STACKS.items()})
    frames = ElementTree.fromstring(flame_graph(samples, "a <title> & more")).findall(f"{SVG}svg")  # noqa: S314 -- ours
    named = {(frame.findtext(f"{SVG}title") or "").partition("\n")[0]: frame for frame in frames}
    names = "OutermostLayer.__call__ (tenantry/http/headers.py)", "log_access (tenantry/observability/access.py)"
    (left, width), (inner_left, inner_width) = (
        (float(named[name].attrib["data-left"]), float(named[name].attrib["data-width"])) for name in names
    )

    assert pytest.approx((5 / 12, 3 / 12), abs=1e-5) == (width, inner_width)
    assert left - 1e-5 <= inner_left <= inner_left + inner_width <= left + width + 1e-5


@pytest.mark.slow
def test_profile_of_a_running_service(tmp_path: Path) -> None:
    """The command starts all that it needs, and gives a flame graph and a table that names nearly all of the time."""
    graph = tmp_path / "profile.svg"
    command = [sys.executable, "-m", "tests.load.profile_service", "--seconds", "3", "--route", "patch"]
    root = Path(__file__).parents[2]
    run = subprocess.run(
        [*command, "--output", str(graph)], cwd=root, capture_output=True, text=True, timeout=120, check=False
    )

    assert 0 == run.returncode, run.stdout + run.stderr
    assert "RequestResponseCycle.run_asgi" in graph.read_text()
    lines = [line.rpartition(" ") for line in graph.with_suffix(".folded").read_text().splitlines()]
    unknown = sum(int(times) for stack, _, times in lines if layer_of(stack) == OTHER)
    assert unknown < 0.05 * sum(int(times) for _, _, times in lines)
    assert {"gate", "request body", "unit of work, repository"} <= {name for name in LAYERS if name in run.stdout}
