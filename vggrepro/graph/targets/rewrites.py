"""The remedies of the table: how a node is said with others that a runtime has and gets right.

Where a step needs sizes that are free, or values that are no constants, it returns None: the net is refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vggrepro.emit import Shape
from vggrepro.graph.targets.draft import Place, Rule

LOWEST = np.finfo(np.float32).min


def pad_apart(place: Place) -> Sequence[str] | None:
    """The padding of a convolution or an average as a node before it, which pads with zeros."""
    return _padded_with(place, 0)


def lowest_apart(place: Place) -> Sequence[str] | None:
    """The padding of a maximum as a node before it, which pads with the lowest number."""
    return _padded_with(place, LOWEST)


def _padded_with(place: Place, value: float) -> Sequence[str]:
    pads = place.attributes.get("pads", [])
    half = len(pads) // 2
    widths = [0, 0, *pads[:half], 0, 0, *pads[half:]]
    padded = place.g.op("Pad", place.input(0), place.g.ints(widths), place.g.const(value))
    return place.again(padded, *place.node.input[1:], pads=[0] * len(pads))


def named_mode(place: Place) -> Sequence[str] | None:
    """A Pad that says that it pads with a constant."""
    return place.again(mode="constant")


def counted_mean(place: Place) -> Sequence[str] | None:
    """A sum along one axis as a mean times the number of elements, in the words of sets before 18."""
    axes, shape = place.array(1), place.shape(0)
    if axes is None or shape is None or place.draft.opset >= 18:
        return None
    keep = place.attributes.get("keepdims", 1)
    mean = place.g.op("ReduceMean", place.input(0), axes=[int(a) for a in axes], keepdims=keep)
    return [place.g.op("Mul", mean, place.g.const(math.prod(shape[int(a)] for a in axes)))]


def counted_average(place: Place) -> Sequence[str] | None:
    """An average that leaves padding out, as one that counts it, times what that one divides too much by."""
    sizes, counts = (place.dims(0) or ())[2:], (place.out_dims() or ())[2:]
    kernel, strides = place.attributes["kernel_shape"], place.attributes["strides"]
    if len(sizes) != len(kernel) or len(counts) != len(kernel):
        return None
    factors = np.ones(())
    for axis, (size, count) in enumerate(zip(sizes, counts, strict=True)):
        if size is None or count is None:
            return None
        k = kernel[axis]
        begins = np.arange(count) * strides[axis] - place.attributes["pads"][axis]
        inside = np.minimum(begins + k, size) - np.maximum(begins, 0)
        factors = np.multiply.outer(factors, k / inside)
    (mean,) = pad_apart(place) or ("",)
    return [place.g.op("Mul", mean, place.g.const(factors))]


def axis_by_axis(place: Place) -> Sequence[str] | None:
    """A maximum or minimum along several axes as one along each, in the words of sets before 18."""
    dims, axes, y = place.dims(0), place.attributes.get("axes"), place.input(0)
    if dims is None:
        return None
    keep = place.attributes.get("keepdims", 1)
    for axis in sorted((a % len(dims) for a in (range(len(dims)) if axes is None else axes)), reverse=True):
        y = place.g.op(place.node.op_type, y, axes=[axis], keepdims=keep)
    return [y]


def blocks_by_convolution(place: Place) -> Sequence[str] | None:
    """A SpaceToDepth as a convolution whose every filter takes one place of one channel."""
    dims, side = place.dims(0), place.attributes["blocksize"]
    channels = dims[1] if dims is not None else None
    if channels is None:
        return None
    filters, block = place.g.const(block_filters(side, channels)), [side, side]
    return [place.g.op("Conv", place.input(0), filters, kernel_shape=block, strides=block)]


def block_filters(side: int, channels: int) -> npt.NDArray[np.float32]:
    """Filters (side * side * channels, channels, side, side) that each take one place of one channel, in the
    order in which SpaceToDepth, and DepthToSpace of mode DCR, have the channels of blocks."""
    each: npt.NDArray[np.float32] = np.eye(side * side * channels, dtype=np.float32)
    filters: npt.NDArray[np.float32] = each.reshape(-1, side, side, channels).transpose(0, 3, 1, 2)
    return filters


def single_axes_twice(place: Place) -> Sequence[str] | None:
    """A Resize to given sizes, before which a single row or column is there twice."""
    x = place.input(0)
    if not place.input(3):
        return None
    for axis, size in enumerate(place.dims(0) or ()):
        if axis > 1 and size == 1:
            x = place.g.op("Concat", x, x, axis=axis)
    return place.again(x, *place.node.input[1:])


def kept_in_place(place: Place) -> Sequence[str] | None:
    """A MaxPool whose result is compared with the lowest number, which changes nothing."""
    (y,) = place.again()
    return [place.g.op("Max", y, place.g.const(np.full((1, 1, 1, 1), LOWEST)))]


def one_over(place: Place) -> Sequence[str] | None:
    """A Reciprocal as a quotient."""
    return [place.g.op("Div", place.g.const(np.ones((1,) * len(place.dims(0) or (1,)))), place.input(0))]


def sum_apart(last: int) -> Rule:
    """A rule that adds zero to the input ``last`` of a node before the node reads it."""

    def rule(place: Place) -> Sequence[str] | None:
        g, inputs = place.g, list(place.node.input)
        zero = g.const(np.zeros((1,) * len(place.dims(last) or (1,))))
        inputs[last] = g.op("Add", inputs[last], zero)
        return place.again(*inputs)

    return rule


def bounded_tanh(place: Place) -> Sequence[str] | None:
    """A Tanh of values between -20 and 20: beyond 9.02 it is 1 in float32."""
    return place.again(place.g.op("Clip", place.input(0), place.g.const(-20), place.g.const(20)))


def bounded_softplus(place: Place) -> Sequence[str] | None:
    """A Softplus of values up to 80, from where on it is its input in float32."""
    bound = place.g.const(np.full((1,) * len(place.dims(0) or (1,)), 80))
    (y,) = place.again(place.g.op("Min", place.input(0), bound))
    return [place.g.op("Max", y, place.input(0))]


def bias_apart(place: Place) -> Sequence[str] | None:
    """A matrix product whose third operand is added behind it."""
    y, *_ = place.again(*place.node.input[:2])
    return [place.g.op("Add", y, place.input(2))]


def dilated_weight(place: Place) -> Sequence[str] | None:
    """A dilated kernel as a larger one with zeros between its taps."""
    weight, dilations = place.array(1), place.attributes["dilations"]
    if weight is None:
        return None
    extents = [d * (k - 1) + 1 for k, d in zip(weight.shape[2:], dilations, strict=True)]
    spread = np.zeros((*weight.shape[:2], *extents), weight.dtype)
    taps = (slice(None), slice(None), *(slice(None, None, d) for d in dilations))
    spread[taps] = weight
    inputs = [place.input(0), place.g.const(spread), *place.node.input[2:]]
    return place.again(*inputs, kernel_shape=extents, dilations=[1] * len(extents))


def second_tap(place: Place) -> Sequence[str] | None:
    """A convolution of one tap as one of two along each axis, the second zero."""
    weight, pads = place.array(1), place.attributes["pads"]
    if weight is None:
        return None
    axes = weight.ndim - 2
    wider = np.pad(weight, [(0, 0), (0, 0), *[(0, 1)] * axes])
    ends = [*pads[:axes], *(p + 1 for p in pads[axes:])]
    inputs = [place.input(0), place.g.const(wider), *place.node.input[2:]]
    return place.again(*inputs, kernel_shape=[2] * axes, dilations=[1] * axes, pads=ends)


def reshape(place: Place) -> Sequence[str] | None:
    """A Reshape to the known shape of the output: for Squeeze, Unsqueeze, Flatten and the like."""
    shape = place.out_shape()
    return None if shape is None else [place.g.op("Reshape", place.input(0), place.g.ints(shape))]


def kept_axes(place: Place) -> Sequence[str] | None:
    """A reduction that keeps its axes, and a Reshape that drops them."""
    out = place.out_shape()
    if out is None:
        return None
    (kept,) = place.again(keepdims=1)
    return [place.g.op("Reshape", kept, place.g.ints(out))]


def full_rank(place: Place) -> Sequence[str] | None:
    """Operands with as many axes as the output has, and two at least: missing ones lead, of size 1."""
    out, g = place.out_shape(), place.g
    if out is None:
        return None
    rank, operands = max(len(out), 2), []
    for index in range(len(place.node.input)):
        shape = place.shape(index)
        if shape is None:
            return None
        operands.append(_led_to(place, index, (1,) * (rank - len(shape)) + shape))
    (y,) = place.again(*operands)
    return [y] if len(out) == rank else [g.op("Reshape", y, g.ints(out))]


def _led_to(place: Place, index: int, shape: Shape) -> str:
    array = place.array(index)
    if array is not None:
        return place.g.const(array.reshape(shape), array.dtype)
    if place.shape(index) == shape:
        return place.input(index)
    return place.g.op("Reshape", place.input(index), place.g.ints(shape))


def same_shape(place: Place) -> Sequence[str] | None:
    """Operands of the output's own shape."""
    out, g = place.out_shape(), place.g
    if out is None:
        return None
    operands = []
    for index, name in enumerate(place.node.input):
        array = place.array(index)
        if array is not None:
            name = g.const(np.broadcast_to(array, out), array.dtype)
        elif place.shape(index) != out:
            name = g.op("Add", name, g.const(np.zeros(out)))
        operands.append(name)
    return place.again(*operands)


def rearranged(place: Place) -> Sequence[str] | None:
    """A Gather of constant places: the slices that lie there, one after the other. Where it deals channels
    out to groups in turn, as ShuffleChannel does, it is a transposition of (groups, channels)."""
    index, dims, g = place.array(1), place.dims(0), place.g
    axis = place.attributes.get("axis", 0) % len(dims or (1,))
    size = None if dims is None else dims[axis]
    if index is None or index.ndim != 1 or size is None or dims is None:
        return None
    shape = place.shape(0)
    groups = int(index[1] - index[0]) if len(index) == size > 1 else 0
    if shape is not None and groups > 1 and size % groups == 0:
        dealt = np.arange(size).reshape(-1, groups).T.reshape(-1)
        if np.array_equal(index, dealt):
            return [_dealt(place, shape, axis, groups)]
    pieces = g.ops("Split", place.input(0), g.ints([1] * size), outputs=size, axis=axis)
    return [g.op("Concat", *(pieces[int(i)] for i in index), axis=axis)]


def _dealt(place: Place, shape: Shape, axis: int, groups: int) -> str:
    g, before, behind = place.g, math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
    parts = g.op("Reshape", place.input(0), g.ints([before, shape[axis] // groups, groups, behind]))
    return g.op("Reshape", g.op("Transpose", parts, perm=[0, 2, 1, 3]), g.ints(shape))


def concatenated(place: Place) -> Sequence[str] | None:
    """A Tile as Concat nodes, one for each axis that is repeated."""
    repeats, y = place.array(1), place.input(0)
    if repeats is None:
        return None
    for axis, count in enumerate(repeats.tolist()):
        if count > 1:
            y = place.g.op("Concat", *[y] * count, axis=axis)
    return [y]


def pooled(place: Place) -> Sequence[str] | None:
    """A reduction as the pooling of a plane: what is reduced becomes the height of (1, M, K, 1)."""
    shape, out, g = place.shape(0), place.out_shape(), place.g
    axes = place.attributes.get("axes")
    if axes is None and place.input(1):
        array = place.array(1)
        axes = None if array is None else array.tolist()
    if shape is None or out is None or (axes is None and place.input(1)):
        return None
    reduced = sorted(a % len(shape) for a in (range(len(shape)) if axes is None else axes))
    kept = [a for a in range(len(shape)) if a not in reduced]
    x, count = place.input(0), math.prod(shape[a] for a in reduced)
    if [*kept, *reduced] != list(range(len(shape))):
        x = g.op("Transpose", x, perm=[*kept, *reduced])
    x = g.op("Reshape", x, g.ints([1, math.prod(shape[a] for a in kept), count, 1]))
    y = _pool(place, x, count)
    return None if y is None else [g.op("Reshape", y, g.ints(out))]


def _pool(place: Place, x: str, count: int) -> str | None:
    """What a reduction over the height of x is, by its kind."""
    g = place.g
    kind = place.node.op_type.removeprefix("Reduce")
    if kind == "Max":
        return g.op("GlobalMaxPool", x)
    if kind == "Min":
        return g.op("Neg", g.op("GlobalMaxPool", g.op("Neg", x)))
    if kind not in ("Mean", "Sum", "L1", "L2", "SumSquare"):
        return None
    if kind == "L1":
        x = g.op("Abs", x)
    if kind in ("L2", "SumSquare"):
        x = g.op("Mul", x, x)
    mean = g.op("GlobalAveragePool", x)
    total = mean if kind == "Mean" else g.op("Mul", mean, g.const(np.full((1, 1, 1, 1), count)))
    return g.op("Sqrt", total) if kind == "L2" else total


def zero_rows(place: Place) -> Sequence[str] | None:
    """A choice between detections and rows that are none, as one between detections and zeros.

    DEVIATION: where an image has no detection, SSD gives a row with its index; OpenCV's Caffe importer and
    this form give zeros.
    """
    return place.again(place.input(0), place.input(1), place.g.const(np.zeros((1, 1))))
