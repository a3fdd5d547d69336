"""The bottoms of MS-CNN's and Cascade R-CNN's losses and accuracies as maps of fields at places, as nodes and
in NumPy. In Cascade R-CNN's the K fields of a place are items of the batch."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from vggrepro.emit import GraphBuilder, Value
from vggrepro.errors import ShapeError
from vggrepro.layers.base import Array, Shapes
from vggrepro.layers.rules.field_loss import Maps


def check_groups(bottoms: Shapes, groups: int, classes: int) -> None:
    """Raise ShapeError unless bottoms are scores, places and right boxes of ``groups`` fields at each
    place."""
    scores, places, right = bottoms
    if len(scores) != 4 or scores[0] % groups or scores[1] != classes:
        raise ShapeError(f"bottom[0] must be (N * {groups}, {classes}, H, W), got shape {scores}")
    for index, (shape, channels) in enumerate(((places, 4), (right, 6)), 1):
        if tuple(shape) != (scores[0], channels, *scores[2:]):
            raise ShapeError(
                f"bottom[{index}] must be {(scores[0], channels, *scores[2:])}, got shape {shape}"
            )


def emit_groups(g: GraphBuilder, bottoms: Sequence[Value], groups: int) -> Maps:
    """The bottoms (N * K, ..., H, W) as maps (N, K, ..., S)."""
    shapes = [Value(b.name, b.dims[1:]).shape for b in bottoms]
    scores, coded, right = (
        g.op("Reshape", b.name, g.ints([-1, groups, shape[0], prod(shape[1:])]))
        for b, shape in zip(bottoms, shapes, strict=True)
    )
    return emit_maps(g, scores, coded, right)


def emit_maps(g: GraphBuilder, scores: str, coded: str, right: str) -> Maps:
    """Scores, codes and right boxes (N, K, 6, S) as maps."""
    label, box, overlap = g.ops("Split", right, g.ints([1, 4, 1]), outputs=3, axis=2)
    label, overlap = (g.op("Squeeze", part, g.ints([2])) for part in (label, overlap))
    return Maps(scores, coded, label, box, overlap)


def group_maps(bottoms: Sequence[Array], groups: int) -> Maps:
    """As ``emit_groups``, in NumPy."""
    places = bottoms[0].shape[2] * bottoms[0].shape[3]
    scores, coded, right = (b.reshape(-1, groups, b.shape[1], places) for b in bottoms)
    return Maps(scores, coded, right[:, :, 0], right[:, :, 1:5], right[:, :, 5])


def check_joined(bottoms: Shapes, classes: int) -> None:
    """Raise ShapeError unless bottoms are scores of ``classes`` classes with a box (N, C + 4, H, W), and
    right boxes (N, 6, H, W)."""
    x, right = bottoms
    if len(x) != 4 or x[1] != classes + 4:
        raise ShapeError(f"bottom[0] must be (N, {classes + 4}, H, W), got shape {x}")
    if tuple(right) != (x[0], 6, *x[2:]):
        raise ShapeError(f"bottom[1] must be {(x[0], 6, *x[2:])}, got shape {right}")


def emit_joined(g: GraphBuilder, bottoms: Sequence[Value], classes: int) -> Maps:
    """Scores and codes in one bottom (N, C + 4, H, W), and right boxes, as maps with one field."""
    x, right = (
        g.op("Reshape", b.name, g.ints([0, 1, channels, -1]))
        for b, channels in zip(bottoms, (classes + 4, 6), strict=True)
    )
    scores, coded = g.ops("Split", x, g.ints([classes, 4]), outputs=2, axis=2)
    return emit_maps(g, scores, coded, right)


def joined_maps(bottoms: Sequence[Array], classes: int) -> Maps:
    """The same in NumPy."""
    x, right = (b.reshape(len(b), 1, b.shape[1], -1) for b in bottoms)
    return Maps(x[:, :, :classes], x[:, :, classes:], right[:, :, 0], right[:, :, 1:5], right[:, :, 5])
