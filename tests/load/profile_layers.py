"""Which layer of the service a sampled stack belongs to, and what each layer costs an answer."""

import re
from collections import Counter, defaultdict
from functools import cache

from rich.table import Table

from tests.load.profile_sampler import Samples

__all__ = ("LAYERS", "OTHER", "layer_of", "layer_of_frame", "table_of")

# Patterns of frames, `function (path)`. The innermost frame that one of them knows names the layer, so what a layer
# calls in libraries that serve many counts as its own.
LAYERS = {
    "sockets, HTTP (uvicorn)": (
        r"\((uvicorn|uvloop)/|\(asyncio/(runners|base_events|events)|tenantry/http/(protocol|guarded|idle)\.py"
    ),
    "outermost layer": r"tenantry/(http/(headers|reply)|context|ids)\.py",
    "log line": r"\((structlog|logging)/|tenantry/observability/(access|logging)",
    "metrics": r"\(prometheus_client/|tenantry/observability/(\w*metrics|database)",
    "tracing": r"\(opentelemetry/|tenantry/observability/(tracing|spans)",
    "routing and middleware": r"\(litestar/(app|_asgi|middleware|routes|utils)|tenantry/http/problems",
    "gate": r"tenantry/(limits/|http/(gate|ways|visit|directory|deadlines|plan|policy)\.py)",
    "token": r"tenantry/security/|\((jwt|cryptography)/",
    "request body": r"tenantry/http/request\.py|\.(body|json|stream) \(litestar/connection/request",
    "arguments and dependencies": (
        r"\(litestar/(_kwargs|_signature|di|connection)\b|tenantry/(inject|http/(page|endpoint))\b"
    ),
    "slice": r"\(features/",
    "unit of work, repository": r"tenantry/db/",
    "fast lane": r"tenantry/db/lane/",
    "SQLAlchemy and psycopg": r"\((sqlalchemy|psycopg\w*|greenlet)/",
    "answer, JSON": r"\(litestar/(response|serialization|handlers|background_tasks)",
}
OTHER = "other"


def layer_of(stack: str) -> str:
    frames = reversed(stack.split(";"))
    return next((layer for frame in frames if (layer := layer_of_frame(frame)) is not None), OTHER)


@cache
def layer_of_frame(frame: str) -> str | None:
    """The most particular one that fits: of the pattern that matches most of the frame."""
    found = [(len(match[0]), name) for name, pattern in LAYERS.items() if (match := re.search(pattern, frame))]
    return max(found)[1] if found else None


def table_of(samples: Samples, answers: int) -> Table:
    """The layers, the most expensive first, each with the functions in which most of its own time goes."""
    layers: Counter[str] = Counter()
    functions: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for stack, times in samples.stacks.items():
        layer = layer_of(stack)
        layers[layer] += times
        functions[layer][stack.rpartition(";")[2].partition(" ")[0]] += times
    each, total = samples.seconds / answers * 1e6, layers.total()
    table = Table("layer", title=f"{each:,.0f} µs computed per answer, {total:,} samples", title_justify="left")
    table.add_column("share", justify="right")
    table.add_column("µs", justify="right")
    table.add_column("most of it in", overflow="fold")
    for layer, times in layers.most_common():
        most = ", ".join(f"{name} {part / times:.0%}" for name, part in functions[layer].most_common(3))
        table.add_row(layer, f"{times / total:.1%}", f"{times / total * each:.1f}", most)
    return table
