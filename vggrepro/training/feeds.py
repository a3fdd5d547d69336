"""Values of a net's inputs, brought to the shapes that it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.emit import Shape
from vggrepro.errors import NetError
from vggrepro.net import Net
from vggrepro.runtime.device_array import DeviceView

Feeds = Mapping[str, npt.NDArray[Any] | DeviceView]
"""Values of a net's inputs: arrays, or what is on the device already."""


def shapes_of(feeds: Feeds) -> dict[str, Shape]:
    """The shape of each value."""
    return {name: value.shape for name, value in feeds.items()}


def fitted(net: Net, feeds: Feeds) -> dict[str, npt.NDArray[Any] | DeviceView]:
    """The values in the shapes of the net's inputs.

    Sizes of 1 at the end may be missing, as (N,) for (N, 1, 1, 1): Caffe's older formats declare every input
    with four. The images that a net's own data layers read may have another height and width. Raises NetError
    for other shapes, and for inputs that are missing or unknown.
    """
    for name in {*feeds, *net.inputs}:
        if name not in feeds or name not in net.inputs:
            what = "missing" if name in net.inputs else "unknown"
            raise NetError(f"net {net.name!r}: {what} input {name!r}; it takes {list(net.inputs)}")
    varying = {top for p in net.layers if p.layer.varies for top in p.tops}
    return {name: _fitted(name, feeds[name], shape, name in varying) for name, shape in net.inputs.items()}


def _fitted(
    name: str, value: npt.NDArray[Any] | DeviceView, expected: Shape, varying: bool
) -> npt.NDArray[Any] | DeviceView:
    shape = value.shape if isinstance(value, DeviceView) else np.shape(value)
    if shape == expected:
        return value
    if len(shape) < len(expected) and shape + (1,) * (len(expected) - len(shape)) == expected:
        return (
            replace(value, shape=expected)
            if isinstance(value, DeviceView)
            else np.reshape(np.asarray(value), expected)
        )
    if varying and len(shape) == len(expected) == 4 and shape[:2] == expected[:2]:
        return value
    raise NetError(f"input {name!r}: shape {shape}, expected {expected}")
