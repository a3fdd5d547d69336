"""Working through a batch a few images at a time, so that intermediate tensors stay small."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from vggrepro.emit import GraphBuilder


def split_images(
    g: GraphBuilder, tensors: Sequence[str], images: int, most: int
) -> list[tuple[int, tuple[str, ...]]]:
    """Tensors of ``images`` images each, cut alike along axis 0 into pieces of at most ``most``:
    the number of images and the tensors of each piece. Slices are taken when a piece's turn comes; a Split
    would hold copies of all of them."""
    pieces = -(-images // most)
    if pieces == 1:
        return [(images, tuple(tensors))]
    sizes = [images // pieces + (i < images % pieces) for i in range(pieces)]
    ends = list(accumulate(sizes))
    return [
        (size, tuple(g.op("Slice", t, g.ints([end - size]), g.ints([end]), g.ints([0])) for t in tensors))
        for size, end in zip(sizes, ends, strict=True)
    ]


def sum_of(g: GraphBuilder, terms: Sequence[str]) -> str:
    return terms[0] if len(terms) == 1 else g.op("Sum", *terms)
