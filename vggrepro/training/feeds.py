"""Values of a net's inputs, brought to the shapes that it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.emit import Shape
from vggrepro.errors import NetError
from vggrepro.layers.rules.right_boxes import ROW as BOX_ROW
from vggrepro.net import Net
from vggrepro.runtime.device_array import DeviceView

Feeds = Mapping[str, npt.NDArray[Any] | DeviceView]
"""Values of a net's inputs: arrays, or what NumPy makes arrays of, or what is on the device already."""


def shapes_of(feeds: Feeds) -> dict[str, Shape]:
    """The shape of each value."""
    return {name: value.shape for name, value in feeds.items()}


def fitted(net: Net, feeds: Feeds) -> dict[str, npt.NDArray[Any] | DeviceView]:
    """The values in the shapes of the net's inputs.

    Sizes of 1 at the end may be missing, as (N,) for (N, 1, 1, 1): Caffe's older formats declare every input
    with four. The images that a net's own data layers read may have another height and width; the right boxes
    of a batch, (1, 1, G, 8), may be of any number. Raises NetError for other shapes, and for inputs that are
    missing or unknown.
    """
    for name in {*feeds, *net.inputs}:
        if name not in feeds or name not in net.inputs:
            what = "missing" if name in net.inputs else "unknown"
            raise NetError(f"net {net.name!r}: {what} input {name!r}; it takes {list(net.inputs)}")
    varying = {top for p in net.layers if p.layer.varies for top in p.tops}
    boxes = {bottom for p in net.layers for i, bottom in enumerate(p.bottoms) if i in p.layer.right_boxes}
    return {
        name: _with_all_rows(feeds[name], shape)
        if name in boxes and _is_boxes(_shape(feeds[name]))
        else _fitted(name, feeds[name], shape, name in varying)
        for name, shape in net.inputs.items()
    }


def _shape(value: npt.NDArray[Any] | DeviceView) -> Shape:
    return value.shape if isinstance(value, DeviceView) else np.shape(value)


def _is_boxes(shape: Shape) -> bool:
    return len(shape) == 4 and shape[:2] == (1, 1) and shape[3] == BOX_ROW


def _with_all_rows(value: npt.NDArray[Any] | DeviceView, expected: Shape) -> npt.NDArray[Any] | DeviceView:
    """Boxes with as many rows as the net has, or a power of two where there are more: so that few sizes come
    up, each of which has a session. A row of -1 behind the others ends them."""
    rows = _shape(value)[2]
    most = expected[2] if rows <= expected[2] else 1 << (rows - 1).bit_length()
    if isinstance(value, DeviceView) or rows == most:
        return value
    return np.pad(np.asarray(value), [(0, 0), (0, 0), (0, most - rows), (0, 0)], constant_values=-1)


def _fitted(
    name: str, value: npt.NDArray[Any] | DeviceView, expected: Shape, varying: bool
) -> npt.NDArray[Any] | DeviceView:
    if not isinstance(value, DeviceView):
        value = np.asarray(value)
    shape = value.shape
    if shape == expected:
        return value
    if len(shape) < len(expected) and shape + (1,) * (len(expected) - len(shape)) == expected:
        return replace(value, shape=expected) if isinstance(value, DeviceView) else value.reshape(expected)
    if varying and len(shape) == len(expected) == 4 and shape[:2] == expected[:2]:
        return value
    raise NetError(f"input {name!r}: shape {shape}, expected {expected}")
