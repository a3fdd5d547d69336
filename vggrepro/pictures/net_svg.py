"""A net's drawing as SVG. It reads on light pages and on dark ones: boxes have a light ground of their own,
lines are of a middle grey, and there is nothing behind them."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from vggrepro.pictures.net_layout import LINE, MARGIN, BlobLine, LayerBox, NetLayout, Role

_FILLS: Mapping[Role, str] = {
    "input": "#d5ecd4",
    "parameters": "#cfe2f7",
    "loss": "#f9dcc4",
    "plain": "#eeeeee",
}
_LINES, _INK, _FAINT = "#808080", "#1a1a1a", "#505050"


def net_svg(layout: NetLayout, title: str) -> str:
    """The text of the SVG file. Each layer is a group with its name as ``data-layer``, each line a path with
    ``data-from`` and ``data-to``."""
    width, height = f"{layout.width:g}", f"{layout.height:g}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
            f' viewBox="0 0 {width} {height}" font-family="monospace" font-size="11.5" text-anchor="middle">',
            f"<title>{escape(title)}</title>",
            '<defs><marker id="end" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7"'
            f' orient="auto"><path d="M0 0L8 4L0 8z" fill="{_LINES}"/></marker></defs>',
            *(_line(line, layout) for line in layout.lines),
            *(_box(box) for box in layout.boxes),
            "</svg>\n",
        ]
    )


def _line(line: BlobLine, layout: NetLayout) -> str:
    """A path that goes up and down only past the rows, and bends between them."""
    (x, y), *rest = line.points
    path = f"M{x:g} {y:g}"
    for next_x, next_y in rest:
        half = (y + next_y) / 2
        path += f"C{x:g} {half:g} {next_x:g} {half:g} {next_x:g} {next_y:g}"
        x, y = next_x, next_y
    names = [escape(layout.boxes[number].lines[0]) for number in (line.source, line.target)]
    ends = f'data-from="{names[0]}" data-to="{names[1]}"'
    return (
        f'<path {ends} d="{path}" fill="none" stroke="{_LINES}" stroke-width="1.5" marker-end="url(#end)"/>'
    )


def _box(box: LayerBox) -> str:
    middle = box.left + box.width / 2
    texts = []
    for number, text in enumerate(box.lines):
        look = f'fill="{_INK}" font-weight="bold"' if not number else f'fill="{_FAINT}"'
        y = box.top + MARGIN + LINE * (number + 0.75)
        texts.append(f'<text x="{middle:g}" y="{y:g}" {look}>{escape(text)}</text>')
    place = f'x="{box.left:g}" y="{box.top:g}" width="{box.width:g}" height="{box.height:g}"'
    ground = f'<rect {place} rx="4" fill="{_FILLS[box.role]}" stroke="{_LINES}"/>'
    return f'<g data-layer="{escape(box.lines[0])}">{ground}{"".join(texts)}</g>'
