"""Nodes with weights: convolutions, matrix products, batch normalisation, PReLU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vggrepro.caffe.messages import ConvolutionParameter
from vggrepro.graph.to_caffe.caffe_writer import Array, Reading
from vggrepro.layers.rules.window import conv_size, deconv_size, extent


def convolution(node: Reading) -> None:
    """Conv, with the zeros of a Pad before it. Padding behind the end may differ where it changes no window;
    elsewhere the kernel gets zeros at one end, or loses those that it has, and the padding is even."""
    weight = node.constant(1)
    stride, pads, dilation = _windows(node, weight.shape[2:])
    zeros = node.out.zeros.get(node.place.input(0), [(0, 0)] * len(pads))
    pad = []
    for axis, (own, around) in enumerate(zip(pads, zeros, strict=True), 2):
        before, behind = (sum(ends) for ends in zip(own, around, strict=True))
        size, step, spread = node.shape()[axis] - sum(around), stride[axis - 2], dilation[axis - 2]
        if conv_size(size, weight.shape[axis], step, before, spread) != node.top_shape[axis]:
            if (behind - before) % spread:
                raise node.refusal(f"pads {before} and {behind} with dilation {spread}")
            weight, lost = _evened(weight, axis, (behind - before) // spread)
            before = min(before, behind) if lost else max(before, behind)
        pad.append(before)
    param = node.write("Convolution", _with_bias(node, weight)).convolution_param
    param.num_output, param.group = len(weight), node.attributes.get("group", 1)
    _write_windows(param, node, weight.shape[2:], stride, pad, dilation)


def _evened(weight: Array, axis: int, more: int) -> tuple[Array, bool]:
    """A kernel for even padding, where that behind is for ``more`` taps than that before (a negative number:
    for fewer), and whether taps of zeros were lost for it, behind (or before), or added on the other side."""
    taps, size = abs(more), weight.shape[axis]
    if taps < size:
        at = size - taps if more > 0 else taps
        first, last = np.split(weight, [at], axis)
        if not (last if more > 0 else first).any():
            return (first if more > 0 else last), True
    widths = [(0, 0)] * weight.ndim
    widths[axis] = (taps, 0) if more > 0 else (0, taps)
    return np.pad(weight, widths), False


def deconvolution(node: Reading) -> None:
    """ConvTranspose without ``output_padding``."""
    weight, group = node.constant(1), node.attributes.get("group", 1)
    kernel = weight.shape[2:]
    stride, pads, dilation = _windows(node, kernel)
    pad = [before for before, _ in pads]
    sizes = zip(node.shape()[2:], kernel, stride, pad, dilation, strict=True)
    if tuple(deconv_size(*size) for size in sizes) != node.top_shape[2:]:
        raise node.refusal("pads that differ by side, or output_padding")
    param = node.write("Deconvolution", _with_bias(node, weight)).convolution_param
    param.num_output, param.group = weight.shape[1] * group, group
    _write_windows(param, node, kernel, stride, pad, dilation)


def _windows(
    node: Reading, kernel: Sequence[int]
) -> tuple[Sequence[int], Sequence[tuple[int, int]], Sequence[int]]:
    """Stride, padding before and behind, dilation: one entry for each spatial axis."""
    axes, given = len(kernel), node.attributes
    stride, dilation = given.get("strides", [1] * axes), given.get("dilations", [1] * axes)
    ends = given.get("pads", [0] * (2 * axes))
    pads = list(zip(ends[:axes], ends[axes:], strict=True))
    automatic = given.get("auto_pad", "NOTSET")
    if automatic.startswith("SAME"):
        wanted = zip(node.top_shape[2:], node.shape()[2:], stride, kernel, dilation, strict=True)
        totals = [max((o - 1) * s + extent(k, d) - i, 0) for o, i, s, k, d in wanted]
        halves = [(t // 2, t - t // 2) for t in totals]
        pads = [(b, a) if automatic == "SAME_LOWER" else (a, b) for a, b in halves]
    return stride, pads, dilation


def _write_windows(param: ConvolutionParameter, node: Reading, *windows: Sequence[int]) -> None:
    for name, sizes in zip(("kernel_size", "stride", "pad", "dilation"), windows, strict=True):
        same = len(set(sizes)) == 1
        if not (same and name != "kernel_size" and sizes[0] == (0 if name == "pad" else 1)):
            getattr(param, name).extend(sizes[:1] if same else sizes)
    if not node.place.input(2):
        param.bias_term = False


def _with_bias(node: Reading, weight: Array) -> list[Array]:
    return [weight, node.constant(2)] if node.place.input(2) else [weight]


def fully_connected(node: Reading) -> None:
    """Gemm of a blob and a constant."""
    given = node.attributes
    if given.get("transA", 0):
        raise node.refusal("transA 1")
    weight = node.constant(1) * np.float32(given.get("alpha", 1))
    weight = weight if given.get("transB", 0) else weight.T  # (outputs, inputs)
    blobs = [weight]
    if node.place.input(2):
        bias = node.constant(2) * np.float32(given.get("beta", 1))
        if bias.size not in (1, len(weight)) or bias.ndim > 2 or (bias.ndim == 2 and len(bias) != 1):
            raise node.refusal(f"a bias of shape {bias.shape}")
        blobs.append(np.broadcast_to(bias.reshape(-1), (len(weight),)))
    param = node.write("InnerProduct", blobs).inner_product_param
    param.num_output, param.bias_term = len(weight), len(blobs) > 1


def product(node: Reading) -> None:
    """MatMul of a blob and a constant matrix, along the blob's last axis."""
    weight = node.constant(1)
    if weight.ndim != 2:
        raise node.refusal(f"a constant of shape {weight.shape}")
    param = node.write("InnerProduct", [weight.T]).inner_product_param
    param.num_output, param.bias_term, param.axis = weight.shape[1], False, len(node.shape()) - 1


def batch_normalization(node: Reading) -> None:
    """BatchNorm, and Scale behind it."""
    if node.attributes.get("training_mode", 0):
        raise node.refusal("training_mode 1")
    scale, shift, mean, variance = (node.constant(index) for index in range(1, 5))
    normal = node.inner("normal")
    layer = node.out.layer(
        "BatchNorm", [node.bottom], [normal], [mean, variance, np.ones(1)], name=normal + "_bn"
    )
    layer.batch_norm_param.eps = node.attributes.get("epsilon", 1e-5)
    layer.batch_norm_param.use_global_stats = True
    node.out.layer("Scale", [normal], [node.top], [scale, shift]).scale_param.bias_term = True


def prelu(node: Reading) -> None:
    slope = node.constant(1)
    channels = node.shape()[1]
    behind = len(node.shape()) - 2
    if slope.size != 1 and slope.shape not in ((channels, *[1] * behind), (1, channels, *[1] * behind)):
        raise node.refusal(f"slopes of shape {slope.shape}, expected one, or one for each channel")
    layer = node.write("PReLU", [slope.reshape(-1)])
    if slope.size == 1:
        layer.prelu_param.channel_shared = True
        node.out.blobs[layer.name] = [slope.reshape(())]
