"""Values put to places of larger planes, and the way back: what undoes a max pooling by its mask."""

from __future__ import annotations

import numpy as np

from vggrepro.emit import GraphBuilder, Value
from vggrepro.layers.base import Array


def emit_put(g: GraphBuilder, x: Value, places: str, sizes: str) -> str:
    """Planes of ``sizes`` (height and width, int64), zero but where the values of x (N, C, H, W) are put.
    ``places``: indices into a plane, (N, C, H * W), int64. The last of several values stays."""
    leading = g.op("Shape", x.name, end=2)
    area = g.op("Mul", *g.ops("Split", sizes, outputs=2, num_outputs=2))
    zeros = g.op("Expand", g.const(0), g.op("Concat", leading, area, axis=0))
    flat = g.op("Reshape", x.name, g.ints([0, 0, -1]))
    filled = g.op("ScatterElements", zeros, places, flat, axis=2)
    return g.op("Reshape", filled, g.op("Concat", leading, sizes, axis=0))


def emit_taken(g: GraphBuilder, planes: str, x: Value, places: str) -> str:
    """What stands at the places, in the shape of x."""
    n, c, *_ = x.shape
    taken = g.op("GatherElements", g.op("Reshape", planes, g.ints([n, c, -1])), places, axis=2)
    return g.op("Reshape", taken, g.ints(x.shape))


def put(x: Array, places: Array, shape: tuple[int, ...]) -> Array:
    """:func:`emit_put` in NumPy; ``places`` broadcast to x's shape."""
    top = np.zeros(shape)
    everywhere = np.broadcast_to(places, x.shape).reshape(-1, x.shape[2] * x.shape[3])
    planes = zip(x.reshape(everywhere.shape), everywhere, top.reshape(-1, shape[2] * shape[3]), strict=True)
    for plane, indices, unpooled in planes:
        unpooled[indices.astype(np.int64)] = plane
    return top
