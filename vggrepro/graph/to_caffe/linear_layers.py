"""Nodes that BVLC Caffe has no layer for, and that constant weights can say: permuted channels, blocks moved
between depth and space, resized images.

The weights are zeros and ones where values only move, so that finite values arrive as they were.
"""

from __future__ import annotations

import math

import numpy as np

from vggrepro.graph.targets.rewrites import block_filters
from vggrepro.graph.to_caffe.caffe_writer import Array, Reading
from vggrepro.graph.to_caffe.resize_matrix import axis_matrix
from vggrepro.graph.to_caffe.shape_layers import alias, reshape, reshape_to

LARGEST = 4096
"""Channels up to which a permutation is written as a matrix, which is square."""


def transpose(node: Reading) -> None:
    """Transpose of axes between the batch and the last ones that stay: permuted channels, as between
    groups. One that only moves axes of size 1 is a Reshape."""
    shape = node.shape()
    perm = node.attributes.get("perm", tuple(reversed(range(len(shape)))))
    large = [axis for axis in perm if shape[axis] != 1]
    if large == sorted(large):
        reshape(node)
        return
    moved = [place for place, axis in enumerate(perm) if place != axis]
    end = moved[-1] + 1
    channels = math.prod(shape[1:end])
    if perm[0] != 0 or channels > LARGEST:
        raise node.refusal(f"perm {list(perm)} of a blob of shape {shape}")
    order = np.arange(channels).reshape(shape[1:end]).transpose([axis - 1 for axis in perm[1:end]])
    flat = node.inner("channels")
    reshape_to(node, node.bottom, flat, (shape[0], channels, math.prod(shape[end:]), 1), True)
    chosen = by_channel(node, flat, np.eye(channels)[order.ravel()], node.inner("permuted"))
    reshape_to(node, chosen, node.top, node.top_shape, True)


def gather(node: Reading) -> None:
    """Gather of some channels, as when the order of colours is turned, by a list of constant indices."""
    shape, indices = node.shape(), node.constant(1)
    axis = node.attributes.get("axis", 0) % len(shape)
    if axis != 1 or len(shape) < 3 or indices.ndim != 1:
        raise node.refusal(f"indices of shape {indices.shape} along axis {axis} of a blob of shape {shape}")
    by_channel(node, node.bottom, np.eye(shape[1])[indices], node.top, len(shape) - 2)


def by_channel(node: Reading, bottom: str, matrix: Array, top: str, spatial: int = 2) -> str:
    """A Convolution of one pixel: a matrix (outputs, inputs) times the channels of a blob with so many axes
    behind them. Returns ``top``."""
    layer = node.out.layer("Convolution", [bottom], [top], [matrix.reshape(*matrix.shape, *[1] * spatial)])
    param = layer.convolution_param
    param.num_output, param.bias_term = len(matrix), False
    param.kernel_size.append(1)
    return top


def depth_to_space(node: Reading) -> None:
    """DepthToSpace: a Deconvolution whose taps each pick a channel."""
    size, channels = node.attributes["blocksize"], node.top_shape[1]
    if node.attributes.get("mode", "DCR") == "DCR":
        weight = block_filters(size, channels)
    else:
        weight = np.eye(size * size * channels, dtype=np.float32).reshape(-1, channels, size, size)
    _deconvolution(node, weight, 1)


def space_to_depth(node: Reading) -> None:
    """SpaceToDepth: a Convolution whose filters each pick a pixel of a block."""
    size = node.attributes["blocksize"]
    weight = block_filters(size, node.shape()[1])
    param = node.write("Convolution", [weight]).convolution_param
    param.num_output, param.bias_term = len(weight), False
    param.kernel_size.append(size)
    param.stride.append(size)


def resize(node: Reading) -> None:
    """Resize and Upsample of images: a Deconvolution of ones where pixels are repeated, else a matrix for
    each axis, which interpolates at the edges too as the node does."""
    shape, top = node.shape(), node.top_shape
    if len(shape) != 4 or shape[:2] != top[:2]:
        raise node.refusal(f"a blob of shape {shape} to {top}, expected the last two of four axes")
    rows, columns = (axis_matrix(node, axis) for axis in (2, 3))
    if shape == top and all(np.array_equal(m, np.eye(len(m))) for m in (rows, columns)):
        alias(node)
    elif _repeats(rows) and _repeats(columns):
        times = (len(rows) // shape[2], len(columns) // shape[3])
        _deconvolution(node, np.ones((shape[1], 1, *times)), shape[1])
    else:
        _resampled(node, rows, columns)


def _repeats(matrix: Array) -> bool:
    """Whether a matrix (outputs, inputs) repeats each input as often as any other."""
    outputs, inputs = matrix.shape
    return outputs % inputs == 0 and np.array_equal(
        matrix, np.repeat(np.eye(inputs), outputs // inputs, axis=0)
    )


def _resampled(node: Reading, rows: Array, columns: Array) -> None:
    """The matrix for the rows by a Convolution whose channels are rows, that for columns by an InnerProduct
    along the last axis."""
    _, channels, height, width = node.shape()
    apart = node.inner("rows")
    reshape_to(node, node.bottom, apart, (-1, height, width, 1), False)
    tall = by_channel(node, apart, rows, node.inner("tall"))
    lines = node.inner("lines")
    reshape_to(node, tall, lines, (-1, len(rows), width), False)
    wide = node.inner("wide")
    param = node.out.layer("InnerProduct", [lines], [wide], [columns]).inner_product_param
    param.num_output, param.bias_term, param.axis = len(columns), False, 2
    reshape_to(node, wide, node.top, (-1, channels, len(rows), len(columns)), False)


def _deconvolution(node: Reading, weight: Array, group: int) -> None:
    """A Deconvolution whose windows do not overlap; ``weight`` (C, K / group, rows, columns)."""
    param = node.write("Deconvolution", [weight]).convolution_param
    param.num_output, param.bias_term = weight.shape[1] * group, False
    if group > 1:
        param.group = group
    rows, columns = weight.shape[2:]
    param.kernel_h, param.kernel_w, param.stride_h, param.stride_w = rows, columns, rows, columns
