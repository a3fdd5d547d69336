"""Pooling and normalisation over windows: MaxPool, AveragePool, the global ones, LRN, reductions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from vggrepro.graph.to_caffe.caffe_writer import Reading
from vggrepro.graph.to_caffe.linear_layers import by_channel
from vggrepro.graph.to_caffe.shape_layers import reshape_to
from vggrepro.layers.rules.window import pool_size, pool_spans


def max_pool(node: Reading) -> None:
    if len(node.place.node.output) > 1:
        raise node.refusal("a second output, the places of the maxima")
    _pool(node, "MAX")


def average_pool(node: Reading) -> None:
    _pool(node, "AVE")


def _pool(node: Reading, method: str) -> None:
    """Pooling with the rounding that gives the node's windows, if one does."""
    given = node.attributes
    if len(node.shape()) != 4:
        raise node.refusal(f"{len(node.shape()) - 2} spatial axes, expected 2")
    around = node.out.zeros.get(node.place.input(0), ((0, 0), (0, 0)))
    if any(before != behind for before, behind in around):
        raise node.refusal("zeros before it that differ by side")
    zeros = [before for before, _ in around]
    sizes = [size - 2 * zero for size, zero in zip(node.shape()[2:], zeros, strict=True)]
    if set(given.get("dilations", [1])) != {1} or given.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise node.refusal("dilations or auto_pad")
    kernel, stride = given["kernel_shape"], given.get("strides", [1, 1])
    pads = given.get("pads", [0] * 4)
    if any(zeros):
        if any(pads[:2]) or given.get("count_include_pad", 0):
            raise node.refusal("padding of its own behind a Pad")
        pads = [*zeros, *(zero + end for zero, end in zip(zeros, pads[2:], strict=True))]
    axes = list(zip(sizes, kernel, stride, pads[:2], strict=True))
    counts = list(node.top_shape[2:])
    for up in (True, False):
        rule = {"round_up": up, "clip": any(pads[:2])}
        if [pool_size(*axis, **rule) for axis in axes] == counts:
            break
    else:
        raise node.refusal(f"pads {pads} with windows that Caffe does not count")
    if method == "AVE":
        for axis, behind, count in zip(axes, pads[2:], counts, strict=True):
            _check_divisors(node, axis, behind, count, any(zeros))
    param = node.write("Pooling").pooling_param
    param.pool = param.PoolMethod.Value(method)
    (param.kernel_h, param.kernel_w), (param.stride_h, param.stride_w) = kernel, stride
    if any(pads[:2]):
        param.pad_h, param.pad_w = pads[:2]
    if not up:
        param.round_mode = param.FLOOR


def _check_divisors(
    node: Reading, axis: tuple[int, int, int, int], behind: int, count: int, padded: bool
) -> None:
    """Raise UnsupportedError unless Caffe divides each window's sum by what the node divides it by: in Caffe
    padding counts, and what hangs over it does not. ``padded``: so it is in the node, behind a Pad."""
    size, kernel, stride, pad = axis
    included = node.attributes.get("count_include_pad", 0) or padded
    for index, span in enumerate(pool_spans(size, kernel, stride, pad, count)):
        begin = index * stride - pad
        end = min(begin + kernel, size + ((pad if padded else behind) if included else 0))
        counted = end - (begin if included else max(begin, 0))
        if counted != span.padded:
            raise node.refusal(f"an average of {counted} elements where Caffe's is of {span.padded}")


def global_pool(node: Reading) -> None:
    if len(node.shape()) != 4:
        raise node.refusal(f"a blob of {len(node.shape())} axes, expected 4")
    _whole_image(node, node.top, node.place.node.op_type == "GlobalMaxPool")


def _whole_image(node: Reading, top: str, is_max: bool) -> None:
    param = node.out.layer("Pooling", [node.bottom], [top]).pooling_param
    param.pool, param.global_pooling = (param.MAX if is_max else param.AVE), True


def lrn(node: Reading) -> None:
    given = node.attributes
    if given["size"] % 2 == 0:
        raise node.refusal(f"size {given['size']}, expected an odd one")
    param = node.write("LRN").lrn_param
    param.local_size, param.alpha = given["size"], given.get("alpha", 1e-4)
    param.beta, param.k = given.get("beta", 0.75), given.get("bias", 1)


REDUCTIONS = {
    "ReduceL1": "ASUM",
    "ReduceL2": "SUMSQ",
    "ReduceMax": "MAX",
    "ReduceMean": "MEAN",
    "ReduceSum": "SUM",
    "ReduceSumSquare": "SUMSQ",
}


def reduction(node: Reading) -> None:
    """A reduction over the channels, over height and width, or over the last axes; a Reshape where axes of
    size 1 are not as the node leaves them, and a Power for the root of ReduceL2."""
    axes = sorted(node.axes() or range(len(node.shape())))
    operation = REDUCTIONS[node.place.node.op_type]
    kept = bool(node.attributes.get("keepdims", 1))
    write, keeps = _way(node, axes, operation, kept)
    is_root = node.place.node.op_type == "ReduceL2"
    reduced = node.top if kept == keeps and not is_root else node.inner("reduced")
    write(node, reduced, operation, axes[0])
    if is_root:
        root = node.top if kept == keeps else node.inner("root")
        node.out.layer("Power", [reduced], [root]).power_param.power = 0.5
        reduced = root
    if kept != keeps:
        keeps_batch = math.prod(node.shape()[: axes[0]]) == node.shape()[0]
        reshape_to(node, reduced, node.top, node.top_shape, keeps_batch)


def _way(
    node: Reading, axes: Sequence[int], operation: str, kept: bool
) -> tuple[Callable[[Reading, str, str, int], None], bool]:
    """What writes a reduction over these axes, and whether it keeps them as axes of size 1."""
    rank = len(node.shape())
    if axes == [1] and rank > 2 and operation != "MAX":
        return _of_channels, True
    if axes == [2, 3] and rank == 4 and (operation == "MAX" or (operation == "MEAN" and kept)):
        return _of_pixels, True
    if axes != list(range(axes[0], rank)):
        raise node.refusal(f"axes {axes} of {rank}, expected the last ones, or the second")
    if operation == "MAX":
        raise node.refusal(f"axes {axes} of {rank}, expected the two of an image")
    return _of_last_axes, False


def _of_channels(node: Reading, top: str, operation: str, _: int) -> None:
    values = node.bottom
    if operation in ("ASUM", "SUMSQ"):
        values = node.inner("values")
        layer = node.out.layer("AbsVal" if operation == "ASUM" else "Power", [node.bottom], [values])
        if operation == "SUMSQ":
            layer.power_param.power = 2
    channels = node.shape()[1]
    sums = np.full((1, channels), 1 / channels if operation == "MEAN" else 1)
    by_channel(node, values, sums, top, len(node.shape()) - 2)


def _of_pixels(node: Reading, top: str, operation: str, _: int) -> None:
    _whole_image(node, top, operation == "MAX")


def _of_last_axes(node: Reading, top: str, operation: str, first: int) -> None:
    param = node.out.layer("Reduction", [node.bottom], [top]).reduction_param
    param.operation, param.axis = param.ReductionOp.Value(operation), first
