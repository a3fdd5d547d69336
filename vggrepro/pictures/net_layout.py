"""Where the layers of a net stand in its drawing: below everything that they read, branches side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from vggrepro.net.net import Net
from vggrepro.net.net_layer import NetLayer
from vggrepro.system.terminal import escaped

Role = Literal["input", "parameters", "loss", "plain"]
"""What a box is coloured by: it makes the net's inputs, it has parameters, it is a loss, or none of these."""

Point = tuple[float, float]
"""Pixels from the left and from the top."""

CHARACTER, LINE = 7.0, 15.0
"""Width of a character and height of a line of text in pixels, in the font of the drawing."""
MARGIN = 7.0
"""Pixels between a box's edge and its text."""
_BESIDE, _BELOW, _PASSING = 20.0, 26.0, 8.0
"""Pixels between neighbours, between rows, and for the way of a blob past a row."""


@dataclass(frozen=True)
class LayerBox:
    """A layer in its place: ``lines`` are its name, its type and the shapes of its tops."""

    name: str
    lines: tuple[str, ...]
    role: Role
    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class BlobLine:
    """The way of a blob from the layer that makes it, by its place among the boxes, to one that reads it."""

    source: int
    target: int
    points: tuple[Point, ...]


@dataclass(frozen=True)
class NetLayout:
    """All boxes, in the order of the layers, and all lines; ``width`` and ``height`` are the drawing's."""

    boxes: tuple[LayerBox, ...]
    lines: tuple[BlobLine, ...]
    width: float
    height: float


@dataclass
class _Slot:
    """A place in a row, for a box or for the way of a box's blobs past the row. ``parents`` are the slots of
    the row above that lead to it, ``middle`` is in pixels."""

    width: float
    parents: list[_Slot] = field(default_factory=list)
    middle: float = 0.0

    @property
    def wanted(self) -> float:
        """Where it would stand straight below its parents."""
        return sum(slot.middle for slot in self.parents) / len(self.parents) if self.parents else 0.0


Slots = Mapping[tuple[int, int], _Slot]
"""By the number of a box and of a row: the box itself in its own row, the way of its blobs in later ones."""


def net_layout(net: Net) -> NetLayout:
    """Lay out a net. A layer's row is below the lowest of those that it reads; a blob that is read further
    below has a way of its own past the rows between; a row's order follows that of the row above."""
    makers = {top: number for number, layer in enumerate(net.layers) for top in layer.tops}
    reads = [sorted({makers[bottom] for bottom in layer.bottoms}) for layer in net.layers]
    rows_of: list[int] = []
    for sources in reads:
        rows_of.append(1 + max((rows_of[source] for source in sources), default=-1))
    texts = [_text(net, layer) for layer in net.layers]
    slots = _slots(reads, rows_of, [2 * MARGIN + CHARACTER * max(map(len, lines)) for lines in texts])
    right = _place(slots)
    heights = [2 * MARGIN + LINE * len(lines) for lines in texts]
    tops, bottoms = _row_ends(rows_of, heights)
    boxes = []
    for number, (layer, lines) in enumerate(zip(net.layers, texts, strict=True)):
        slot, top = slots[number, rows_of[number]], tops[rows_of[number]]
        left = slot.middle - slot.width / 2
        boxes.append(LayerBox(layer.name, lines, _role(layer), left, top, slot.width, heights[number]))
    ways = [(source, target) for target, sources in enumerate(reads) for source in sources]
    blob_lines = []
    for source, target in ways:
        points = [(slots[source, rows_of[source]].middle, boxes[source].top + boxes[source].height)]
        for row in range(rows_of[source] + 1, rows_of[target]):
            points += [(slots[source, row].middle, y) for y in (tops[row], bottoms[row])]
        points.append((slots[target, rows_of[target]].middle, boxes[target].top))
        blob_lines.append(BlobLine(source, target, tuple(points)))
    return NetLayout(tuple(boxes), tuple(blob_lines), right + _BESIDE, max(bottoms, default=0.0) + _BELOW / 2)


def _text(net: Net, layer: NetLayer) -> tuple[str, ...]:
    """The lines of a box. A top that is not called as its layer is named before its shape."""
    blobs = list(layer.message.top)
    tops = []
    for place, top in enumerate(layer.tops):
        shape = " x ".join(map(str, net.shapes[top])) or "scalar"
        named = place < len(blobs) and blobs[place] != layer.name
        tops.append(f"{blobs[place]}: {shape}" if named else shape)
    return tuple(escaped(line) for line in (layer.name, layer.message.type, *tops))


def _role(layer: NetLayer) -> Role:
    if layer.layer.source:
        return "input"
    if layer.layer.loss:
        return "loss"
    return "parameters" if layer.params else "plain"


def _slots(reads: Sequence[Sequence[int]], rows_of: Sequence[int], widths: Sequence[float]) -> Slots:
    """Boxes and ways, with what leads to them, but not yet their middles."""
    slots = {(box, row): _Slot(widths[box]) for box, row in enumerate(rows_of)}
    for target, sources in enumerate(reads):
        for source in sources:
            for row in range(rows_of[source] + 1, rows_of[target]):
                if (source, row) not in slots:
                    slots[source, row] = _Slot(_PASSING, [slots[source, row - 1]])
            slots[target, rows_of[target]].parents.append(slots[source, rows_of[target] - 1])
    return slots


def _place(slots: Slots) -> float:
    """Give every slot its middle, row by row, and return the right end of all."""
    rows: dict[int, list[_Slot]] = {}
    for (_, row), slot in slots.items():
        rows.setdefault(row, []).append(slot)
    for _, row_slots in sorted(rows.items()):
        row_slots.sort(key=lambda slot: slot.wanted)
        left = 0.0
        for slot in row_slots:
            slot.middle = left + slot.width / 2
            left += slot.width + _BESIDE
        pulls = sum(slot.width * (slot.wanted - slot.middle) for slot in row_slots)
        for slot in row_slots:  # side by side, together as near to their places as can be
            slot.middle += pulls / sum(slot.width for slot in row_slots)
    leftmost = min((slot.middle - slot.width / 2 for slot in slots.values()), default=0.0)
    for slot in slots.values():
        slot.middle += _BESIDE - leftmost
    return max((slot.middle + slot.width / 2 for slot in slots.values()), default=0.0)


def _row_ends(rows_of: Sequence[int], heights: Sequence[float]) -> tuple[list[float], list[float]]:
    """Tops and bottoms of the rows."""
    tops: list[float] = []
    bottoms: list[float] = []
    for row in range(max(rows_of, default=-1) + 1):
        tops.append(bottoms[-1] + _BELOW if bottoms else _BELOW / 2)
        bottoms.append(tops[-1] + max(h for h, own in zip(heights, rows_of, strict=True) if own == row))
    return tops, bottoms
