"""Values of images at points between their places, interpolated linearly, in graphs."""

from __future__ import annotations

from typing import NamedTuple

from vggrepro.emit import INT64, GraphBuilder, Shape, Value


class Corner(NamedTuple):
    """One of the four places around each point."""

    place: str
    """Its number among all of the batch, int64 (N, H', W')."""
    values: str
    """(N, H', W', C)."""
    weight: str
    """(N, H', W', 1)."""


class ImagePoints(NamedTuple):
    """The places around points (N, H', W') of images."""

    shape: Shape
    """Of the images, (N, C, H, W)."""
    corners: tuple[Corner, ...]
    """Left and right of the row above, then of the row below."""
    below: str
    """How far the row below is from the point, (N, H', W', 1)."""
    right: str


def emit_points(g: GraphBuilder, image: Value, x: str, y: str) -> tuple[str, ImagePoints]:
    """The values (N, H', W', C) of images (N, C, H, W) at points x and y (N, H', W', 1) that lie inside, and
    the places that they are made of. Behind the last place there is none: there both neighbours are the
    last."""
    n, c, h, w = image.shape
    left, right = _neighbours(g, x, w)
    above, below = _neighbours(g, y, h)
    alpha, beta = g.op("Sub", x, left), g.op("Sub", y, above)
    rows = g.op("Reshape", g.op("Transpose", image.name, perm=[0, 2, 3, 1]), g.ints([-1, c]))
    first = g.op("Reshape", g.ints([i * h * w for i in range(n)]), g.ints([n, 1, 1]))
    corners = []
    for row, vertical in ((above, g.op("Sub", g.const(1), beta)), (below, beta)):
        for column, horizontal in ((left, g.op("Sub", g.const(1), alpha)), (right, alpha)):
            place = g.op("Add", g.op("Mul", _whole(g, row), g.ints(w)), _whole(g, column))
            index = g.op("Add", place, first)
            weight = g.op("Mul", vertical, horizontal)
            corners.append(Corner(index, g.op("Gather", rows, index, axis=0), weight))
    seen = g.sum_in_order([g.op("Mul", corner.values, corner.weight) for corner in corners])
    return seen, ImagePoints(image.shape, tuple(corners), g.op("Sub", below, y), g.op("Sub", right, x))


def emit_image_gradient(g: GraphBuilder, points: ImagePoints, dy: str) -> str:
    """The gradient of the images, (N, C, H, W), from that of the values, (N, H', W', C): each place gets the
    weighted gradients of the points that it is a corner of."""
    n, c, h, w = points.shape
    total = g.op("Expand", g.const(0), g.ints([n * h * w, c]))
    for corner in points.corners:
        update = g.op("Reshape", g.op("Mul", dy, corner.weight), g.ints([-1, c]))
        index = g.op("Reshape", corner.place, g.ints([-1, 1]))
        total = g.op("ScatterND", total, index, update, reduction="add")
    return g.op("Transpose", g.op("Reshape", total, g.ints([n, h, w, c])), perm=[0, 3, 1, 2])


def emit_point_gradient(g: GraphBuilder, points: ImagePoints, dy: str) -> str:
    """The gradient of x and y, (N, 2, H', W'): the slopes between corners, by the distances to the row below
    and to the column on the right."""
    above_left, above_right, below_left, below_right = (corner.values for corner in points.corners)
    slopes = (
        (points.below, (above_right, above_left), (below_right, below_left)),
        (points.right, (below_left, above_left), (below_right, above_right)),
    )
    gradients = []
    for distance, near, far in slopes:
        rest = g.op("Sub", g.const(1), distance)
        shares = g.op("Mul", distance, g.op("Sub", *near)), g.op("Mul", rest, g.op("Sub", *far))
        slope = g.op("Add", *shares)
        gradients.append(g.op("ReduceSum", g.op("Mul", dy, slope), g.ints([3]), keepdims=1))
    return g.op("Transpose", g.op("Concat", *gradients, axis=3), perm=[0, 3, 1, 2])


def _neighbours(g: GraphBuilder, at: str, size: int) -> tuple[str, str]:
    """The places before and behind points of an axis, float32; inside of it for points outside too."""
    last = g.const(size - 1)
    before = g.op("Floor", g.op("Min", g.op("Max", at, g.const(0)), last))
    return before, g.op("Min", g.op("Add", before, g.const(1)), last)


def _whole(g: GraphBuilder, places: str) -> str:
    """Places (N, H', W', 1) as int64 (N, H', W')."""
    return g.op("Cast", g.op("Squeeze", places, g.ints([3])), to=INT64)
