"""How coordinates of one top relate to those of another: where to crop one so that both align.

A map is (axis, scale, shift): a coordinate x along the axes from ``axis`` on becomes ``scale * x + shift``.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from vggrepro.pycaffe.net_spec import Function, Top
from vggrepro.pycaffe.net_spec import layers as L

Map: TypeAlias = "tuple[int | None, Any, Any]"

PASS_THROUGH_LAYERS = [
    *("AbsVal", "BatchNorm", "Bias", "BNLL", "Dropout", "Eltwise", "ELU", "Log", "LRN", "Exp", "MVN"),
    *("Power", "ReLU", "PReLU", "Scale", "Sigmoid", "Split", "TanH", "Threshold"),
]
"""Types that leave every value where it is."""

LEGACY = {"pad_h", "pad_w", "kernel_h", "kernel_w", "stride_h", "stride_w"}


class UndefinedMapException(Exception):
    """A layer without a map: what it makes is not found at one place of its bottom."""


class AxisMismatchException(Exception):
    """Two maps along different axes."""


def conv_params(fn: Function) -> tuple[int, Any, Any, Any]:
    """Axis, stride, extent of the kernel and padding of a windowed layer."""
    params = fn.params.get("convolution_param", fn.params)
    assert not LEGACY & set(fn.params), "cropping does not support legacy _h/_w params"
    kernel, dilation, stride, pad = (
        np.array(params[name] if default is None else params.get(name, default), ndmin=1)
        for name, default in (("kernel_size", None), ("dilation", 1), ("stride", 1), ("pad", 0))
    )
    return params.get("axis", 1), stride, (kernel - 1) * dilation + 1, pad


def crop_params(fn: Function) -> tuple[int, Any]:
    """Axis and offsets of a Crop layer."""
    params = fn.params.get("crop_param", fn.params)
    return params.get("axis", 2), np.array(params.get("offset", 0), ndmin=1)


def coord_map(fn: Function) -> Map:
    """The map of one layer, from its bottom to its top. Raises UndefinedMapException."""
    if fn.type_name in ("Convolution", "Pooling", "Im2col"):
        axis, stride, extent, pad = conv_params(fn)
        return axis, 1 / stride, (pad - (extent - 1) / 2) / stride
    if fn.type_name == "Deconvolution":
        axis, stride, extent, pad = conv_params(fn)
        return axis, stride, (extent - 1) / 2 - pad
    if fn.type_name in PASS_THROUGH_LAYERS:
        return None, 1, 0
    if fn.type_name == "Crop":
        axis, offset = crop_params(fn)
        axis -= 1  # -1 for the last non-coordinate dimension
        return axis, 1, -offset
    raise UndefinedMapException(fn.type_name)


def compose(base_map: Map, next_map: Map) -> Map:
    """One map after another. Raises AxisMismatchException."""
    first, second = base_map[0], next_map[0]
    if first is not None and second is not None and first != second:
        raise AxisMismatchException(f"axis {first} and axis {second}")
    axis = second if first is None else first
    return axis, base_map[1] * next_map[1], base_map[1] * next_map[2] + base_map[2]


def inverse(coord_map: Map) -> Map:
    """The map back."""
    axis, scale, shift = coord_map
    return axis, 1 / scale, -shift / scale


def coord_map_from_to(top_from: Top, top_to: Top) -> Map:
    """The map from one top to another, by the first ancestor that they share. Raises RuntimeError if there is
    none that layers with maps lead to."""
    from_maps = _ancestors(top_from)
    to_maps: dict[Top, Map] = {top_to: (None, 1, 0)}
    frontier = [top_to]
    while frontier:
        top = frontier.pop()
        if top in from_maps:
            return compose(to_maps[top], inverse(from_maps[top]))
        frontier += _step(top, to_maps)
    raise RuntimeError(
        "Could not compute map between tops; are they connected by spatial layers?"
        f" (from {top_from.fn.type_name} to {top_to.fn.type_name})"
    )


def crop(top_from: Top, top_to: Top) -> Any:
    """A Crop layer that cuts ``top_from`` to where ``top_to`` is. Raises AssertionError where that cannot be:
    other scales, a negative or a fractional offset."""
    axis, scale, shift = coord_map_from_to(top_from, top_to)
    scale, shift = np.asarray(scale), np.asarray(shift)
    assert (scale == 1).all(), f"scale mismatch on crop (a = {scale})"
    assert (shift <= 0).all(), f"cannot crop negative offset (b = {shift})"
    assert (np.round(shift) == shift).all(), f"cannot crop noninteger offset (b = {shift})"
    offsets = [int(offset) for offset in np.atleast_1d(-np.round(shift))]
    behind = (1 if axis is None else axis) + 1
    return L.Crop(top_from, top_to, crop_param={"axis": behind, "offset": offsets})


def _ancestors(top: Top) -> dict[Top, Map]:
    maps: dict[Top, Map] = {top: (None, 1, 0)}
    frontier = [top]
    while frontier:
        frontier += _step(frontier.pop(), maps)
    return maps


def _step(top: Top, maps: dict[Top, Map]) -> list[Top]:
    """The bottoms behind a top, with their maps; of a Crop layer only the one that is cropped."""
    bottoms = top.fn.inputs[:1] if top.fn.type_name == "Crop" else top.fn.inputs
    try:
        for bottom in bottoms:
            maps[bottom] = compose(maps[top], coord_map(top.fn))
    except UndefinedMapException:
        return []
    return list(bottoms)
