"""Pooling and normalisation over windows: MaxPool, AveragePool, the global ones, LRN, reductions."""

from __future__ import annotations

import math

from vggrepro.graph.to_caffe.caffe_writer import Reading
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
    param = node.write("Pooling").pooling_param
    is_max = node.place.node.op_type == "GlobalMaxPool"
    param.pool, param.global_pooling = (param.MAX if is_max else param.AVE), True


def lrn(node: Reading) -> None:
    given = node.attributes
    if given["size"] % 2 == 0:
        raise node.refusal(f"size {given['size']}, expected an odd one")
    param = node.write("LRN").lrn_param
    param.local_size, param.alpha = given["size"], given.get("alpha", 1e-4)
    param.beta, param.k = given.get("beta", 0.75), given.get("bias", 1)


REDUCTIONS = {"ReduceSum": "SUM", "ReduceMean": "MEAN", "ReduceL1": "ASUM", "ReduceSumSquare": "SUMSQ"}


def reduction(node: Reading) -> None:
    """A reduction over the last axes; the mean of height and width is a pooling."""
    shape = node.shape()
    axes = sorted(node.axes() or range(len(shape)))
    if axes != list(range(axes[0], len(shape))):
        raise node.refusal(f"axes {axes} of {len(shape)}, expected the last ones")
    kept = node.attributes.get("keepdims", 1)
    operation = REDUCTIONS[node.place.node.op_type]
    if operation == "MEAN" and kept and axes == [2, 3]:
        pooling = node.write("Pooling").pooling_param
        pooling.pool, pooling.global_pooling = pooling.AVE, True
        return
    reduced = node.inner("reduced") if kept else node.top
    param = node.out.layer("Reduction", [node.bottom], [reduced]).reduction_param
    param.operation, param.axis = param.ReductionOp.Value(operation), axes[0]
    if kept:
        reshape_to(node, reduced, node.top, node.top_shape, math.prod(shape[: axes[0]]) == shape[0])
