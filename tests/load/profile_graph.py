"""A flame graph of sampled stacks as one SVG: callers above, the width of a frame is its share of the time.

The colours are the layers of the table. A click on a frame spreads it over the whole width, a click on the
background takes that back.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape

from tests.load.profile_layers import LAYERS, OTHER, layer_of_frame
from tests.load.profile_sampler import Samples

__all__ = ("flame_graph",)

ROW, TOP, LEGEND_COLUMNS = 17, 64, 8  # pixels, pixels
NARROWEST = 0.0005  # of the whole width; what is narrower nobody sees
OUTERMOST = "Runner.run (asyncio/runners.py)"  # what is around it starts the process, and all stacks have it
COLOURS = dict(
    zip(
        [*LAYERS, OTHER],
        ["#9aa5b1", "#7fc8f8", "#b8e0d2", "#80ced7", "#63c7b2", "#c3aed6", "#f4a259", "#f25f5c", "#c97b84", "#d4a5ff",
         "#fff07c", "#8cb369", "#5b8e7d", "#bc4b51", "#f4e285", "#dddddd"],
        strict=True,
    )
)  # fmt: skip
STYLE = """
text { font: 11px ui-monospace, Menlo, Consolas, monospace; pointer-events: none }
.title { font-size: 14px; font-weight: bold }
rect { stroke: #fff; stroke-width: .6 }
svg svg:hover > rect { stroke: #000 }
"""
ZOOM = """
const frames = [...document.querySelectorAll("svg[data-left]")].map(f => [f, +f.dataset.left, +f.dataset.width]);
function spread(left, width) {
  const within = at => Math.min(Math.max((at - left) / width, 0), 1);
  for (const [frame, from, size] of frames) {
    frame.setAttribute("x", within(from) * 100 + "%");
    frame.setAttribute("width", (within(from + size) - within(from)) * 100 + "%");
  }
}
document.documentElement.addEventListener("click", event => {
  const frame = event.target.closest("svg[data-left]");
  if (frame) spread(+frame.dataset.left, +frame.dataset.width); else spread(0, 1);
});
"""


@dataclass
class Frame:
    name: str
    layer: str = OTHER
    times: int = 0
    callees: "dict[str, Frame]" = field(default_factory=dict)

    def callee(self, name: str) -> "Frame":
        return self.callees.setdefault(name, Frame(name, layer_of_frame(name) or self.layer))


def flame_graph(samples: Samples, title: str) -> str:
    root = tree_of(samples)
    boxes = list(boxes_of(root, 0.0, 1.0, 0, root.times))
    height = TOP + ROW * (1 + max(depth for depth, _ in boxes))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="1600" height="{height}" style="background: #fff">',
            f"<style>{STYLE}</style>",
            f'<text class="title" x="8" y="18">{escape(title)}</text>',
            *legend(),
            *(box for _, box in boxes),
            f"<script><![CDATA[{ZOOM}]]></script>",
            "</svg>",
            "",
        ]
    )


def tree_of(samples: Samples) -> Frame:
    root = Frame("everything")
    for stack, times in samples.stacks.items():
        frames = stack.split(";")
        if OUTERMOST in frames:
            frames = frames[frames.index(OUTERMOST) + 1 :]
        at = root
        at.times += times
        for name in frames:
            at = at.callee(name)
            at.times += times
    return root


def boxes_of(frame: Frame, left: float, width: float, depth: int, total: int) -> Iterator[tuple[int, str]]:
    if width < NARROWEST:
        return
    hint = escape(f"{frame.name}\n{frame.layer}\n{frame.times / total:.2%} of the time, {frame.times} samples")
    shown = escape(frame.name.partition(" ")[0].replace(".<locals>", ""))
    yield (
        depth,
        (
            f'<svg data-left="{left:.6f}" data-width="{width:.6f}" x="{left:.4%}" width="{width:.4%}"'
            f' y="{TOP + depth * ROW}" height="{ROW}"><title>{hint}</title>'
            f'<rect width="100%" height="100%" fill="{COLOURS[frame.layer]}"/><text x="3" y="12">{shown}</text></svg>'
        ),
    )
    for callee in sorted(frame.callees.values(), key=lambda callee: callee.name):
        part = width * callee.times / frame.times
        yield from boxes_of(callee, left, part, depth + 1, total)
        left += part


def legend() -> Iterator[str]:
    for number, (layer, colour) in enumerate(COLOURS.items()):
        x, y = 8 + number % LEGEND_COLUMNS * 198, 26 + number // LEGEND_COLUMNS * 17
        yield f'<rect x="{x}" y="{y}" width="12" height="12" fill="{colour}"/>'
        yield f'<text x="{x + 17}" y="{y + 10}">{escape(layer)}</text>'
