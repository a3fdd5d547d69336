"""Which images are decoded together, and which of their views go to the network together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vggrepro.data.arrays import Ints
from vggrepro.errors import ProtocolError
from vggrepro.evaluation.protocols import BEFORE, Stream

Size = tuple[int, int]
"""Height and width in pixels."""


@dataclass(frozen=True)
class View:
    """View number ``number``, from 0, of the image at ``position`` in a window."""

    position: int
    number: int


@dataclass(frozen=True)
class ViewBatch:
    """Views of one size that go to the network together."""

    size: Size
    views: tuple[View, ...]

    @property
    def positions(self) -> frozenset[int]:
        """The images' places in the window."""
        return frozenset(view.position for view in self.views)


def batches_by_size(
    sizes: Sequence[Size | None], count: int, pixels: int, longest: int | None = None
) -> list[ViewBatch]:
    """Batches of at most ``pixels`` pixels and ``longest`` views (but at least one view) for a window of
    images.

    ``sizes`` gives the size of each image's views (None: no such image), ``count`` how many it has. Views
    of one size follow each other, in the order of the sizes, so that the network meets each size once in a
    window. The batches depend on the window alone: a run that is resumed or shared by several ranks has the
    same batches, and so the same rounding, as one that is not.
    """
    groups: dict[Size, list[View]] = {}
    for position, size in enumerate(sizes):
        if size is not None:
            groups.setdefault(size, []).extend(View(position, number) for number in range(count))
    found = []
    for size, views in sorted(groups.items()):
        step = batch_length(size, pixels, longest)
        found += [ViewBatch(size, tuple(views[at : at + step])) for at in range(0, len(views), step)]
    return found


def batch_length(size: Size, pixels: int, longest: int | None = None) -> int:
    """Views of a size in a full batch."""
    fit = max(1, pixels // (size[0] * size[1]))
    return fit if longest is None else min(fit, longest)


def usual_length(sizes: Sequence[Size | None], count: int) -> int:
    """A power of two: about as many views as a window has of each size."""
    known = [size for size in sizes if size is not None]
    mean = len(known) * count / max(1, len(set(known)))
    return 1 << max(0, math.ceil(math.log2(max(mean, 1))))


def windows(indexes: Ints, length: int) -> list[Ints]:
    """``indexes`` in consecutive windows of ``length`` images: what ranks share out, and what is batched
    together.

    Raises ProtocolError for a length below 1.
    """
    if length < 1:
        raise ProtocolError(f"window of {length} images: expected at least 1")
    return [indexes[at : at + length] for at in range(0, len(indexes), length)]


def sharing_views(streams: Sequence[Stream]) -> list[tuple[Stream, ...]]:
    """The streams, those together that look at the same views: they differ in their averages alone."""
    groups: dict[Stream, list[Stream]] = {}
    for stream in streams:
        groups.setdefault(replace(stream, average=BEFORE), []).append(stream)
    return [tuple(group) for group in groups.values()]


def sharing_sizes(groups: Sequence[tuple[Stream, ...]]) -> list[list[tuple[Stream, ...]]]:
    """The groups of streams, together those whose views have one size: they take turns by size."""
    found: dict[int, list[tuple[Stream, ...]]] = {}
    for group in groups:
        found.setdefault(group[0].scale if group[0].view_kind == "dense" else 0, []).append(group)
    return list(found.values())
