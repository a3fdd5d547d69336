"""Working through the channels of all images a few at a time, so that what lies between stays in cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from vggrepro.emit import GraphBuilder, Shape, Value, tensor_info

PIECE = 2**19
"""Elements of the largest tensor (2 MiB) that are taken at a time."""

LEAST = 2**21
"""Elements of it from which on that pays: 8 MiB."""


def of_planes(
    g: GraphBuilder, tensors: Sequence[Value], step: Callable[[GraphBuilder, Sequence[Value]], str]
) -> str:
    """What ``step`` makes of tensors (N, C, H, W), all with the same N and C: a tensor of the first one's
    shape, which is the largest. ``step`` treats the channels of all images alike.

    On a CPU it gets large tensors of fixed sizes piece by piece, each channel as an image (N', 1, H, W), in
    a Scan; and otherwise as they are. The gradient of VGG's first pooling, (8, 64, 224, 224), takes 56 ms so
    for 93, one thread.
    """
    dims = tensors[0].dims
    if g.rules != "cpu" or None in dims or prod(tensors[0].shape) < LEAST:
        return step(g, tensors)
    count = _planes_at_a_time(tensors[0].shape)
    pieces = [g.op("Reshape", t.name, g.ints([-1, count, 1, *t.shape[2:]])) for t in tensors]
    body = g.inside("Scan")
    parts = [Value(body.fresh("planes"), (count, 1, *t.dims[2:]), t.dtype) for t in tensors]
    made = step(body, parts)
    infos = [tensor_info(part.name, part.dims, part.dtype) for part in parts]
    result = tensor_info(made, parts[0].dims, parts[0].dtype)
    whole = g.op("Scan", *pieces, body=body.body(infos, [result]), num_scan_inputs=len(pieces))
    return g.op("Reshape", whole, g.ints(tensors[0].shape))


def _planes_at_a_time(shape: Shape) -> int:
    """The most planes within PIECE, but one at least, of which all planes are a multiple."""
    planes, most = prod(shape[:2]), max(PIECE // prod(shape[2:]), 1)
    return max(count for count in range(1, most + 1) if planes % count == 0)
