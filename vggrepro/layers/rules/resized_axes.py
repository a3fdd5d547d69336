"""Which sizes Synopsys' resizing layers give their tops (synopsys-caffe; not from BVLC Caffe)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import Dims, Shape, Value
from vggrepro.errors import NetError, ShapeError, UnsupportedError

AXES = {"NHWC": (1, 2), "NCHW": (2, 3), "NCHWD": (2, 3, 4)}
"""The axes that change, by ``data_format``."""

_NAMES = ("height", "width", "depth")


@dataclass(frozen=True)
class ResizedAxes:
    """Fields ``data_format``, ``output_height``, ``scale_height`` and so on of a parameter ``param``."""

    param: str
    layout: str
    sizes: tuple[int, ...]
    """0 where a factor tells it."""
    factors: tuple[float, ...]

    @classmethod
    def read(cls, message: Any, param: str, rules: Sequence[str]) -> ResizedAxes:
        """From a layer's parameter, which is to say where places lie by one of the fields ``rules``.

        Raises UnsupportedError without a ``data_format`` that the message knows or without such a field, as
        the fork's defaults are not known, and NetError for several of them and for sizes of 0.
        """
        layouts = [
            layout for layout, axes in AXES.items() if hasattr(message, f"output_{_NAMES[len(axes) - 1]}")
        ]
        chosen = [rule for rule in rules if getattr(message, rule)]
        if message.data_format not in layouts or not (chosen or message.HasField("align_corners")):
            raise UnsupportedError(
                f"{param}: data_format must be one of {', '.join(layouts)}, and"
                f" {', '.join(rules[:-1])} or {rules[-1]} be given"
            )
        if len(chosen) > 1:
            raise NetError("If half_pixel_centers is True, align_corners must be False.")
        names = _NAMES[: len(AXES[message.data_format])]
        for size, scale in ((f"output_{name}", f"scale_{name}") for name in names):
            if getattr(message, size if message.HasField(size) else scale) <= 0:
                raise NetError(f"{param}: {size} or {scale} must be above 0")
        return cls(
            param,
            message.data_format,
            tuple(getattr(message, f"output_{name}") for name in names),
            tuple(getattr(message, f"scale_{name}") for name in names),
        )

    @property
    def axes(self) -> tuple[int, ...]:
        return AXES[self.layout]

    def top(self, bottom: Shape) -> Shape:
        """The top's shape. Raises ShapeError for a bottom of other axes, and where nothing is left."""
        top = list(bottom)
        if len(top) != len(self.layout):
            raise ShapeError(f"bottom[0] must be {', '.join(self.layout)}, got shape {bottom}")
        for axis, size, factor in zip(self.axes, self.sizes, self.factors, strict=True):
            top[axis] = size or int(np.float32(top[axis]) * np.float32(factor))
        if min(top[axis] for axis in self.axes) < 1:
            raise ShapeError(f"{self.param}: nothing is left of shape {bottom}")
        return tuple(top)

    def changes(self, dims: Dims) -> list[tuple[int, int, int]]:
        """Each axis that changes, with its sizes in the bottom and in the top. The other axes may be free."""
        known = tuple(size if axis in self.axes else 1 for axis, size in enumerate(dims))
        before = Value("bottom", known).shape
        after = self.top(before)
        return [(axis, before[axis], after[axis]) for axis in self.axes]
