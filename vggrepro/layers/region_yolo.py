"""RegionYolo: what a YOLO net says of boxes, as probabilities (a layer of OpenVINO's Model Optimizer; not
from BVLC Caffe).

Source: openvinotoolkit/openvino, field ``region_yolo_param``; darknet's layers ``region`` and ``yolo``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Array, Emitted, Layer, Reach, Referenced, Shapes, register
from vggrepro.layers.rules.loss import shaped_like


@register
@dataclass(frozen=True)
class RegionYolo(Layer[None]):
    """Bottom (N, R (P + 1 + K), H, W): of each of R regions P coordinates, whether there is an object, and
    K classes. The first two coordinates and the object become logistic functions, the others stay.

    With ``softmax`` (YOLO v2) the classes become their softmax, and the top is (N, R (P + 1 + K) H W).
    Without it (YOLO v3) they become logistic functions, in a top of the bottom's shape. There is no gradient.
    """

    type = "RegionYolo"
    origin = "OpenVINO"
    has_gradient = False

    regions: int
    coordinates: int = 4
    classes: int = 20
    softmax: bool = True

    @classmethod
    def from_param(cls, param: Any, phase: int) -> RegionYolo:
        p, flatten = param.region_yolo_param, param.flatten_param
        regions = p.num if p.do_softmax else len(p.mask)
        if regions < 1 or p.coords < 2 or p.classes < 1:
            raise NetError(
                "region_yolo_param: num (without do_softmax the number of mask) and classes must be above 0,"
                f" and coords above 1; got {regions}, {p.classes} and {p.coords}"
            )
        if p.do_softmax and (flatten.axis, flatten.end_axis) not in ((1, -1), (1, 3)):
            raise UnsupportedError("flatten_param of RegionYolo: only axis 1 to the last is implemented")
        return cls(regions, p.coords, p.classes, p.do_softmax)

    @property
    def _numbers(self) -> int:
        """How many each region has at a place."""
        return self.coordinates + 1 + self.classes

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        (shape,) = bottoms
        channels = self.regions * self._numbers
        if len(shape) != 4 or shape[1] != channels:
            raise ShapeError(f"bottom[0] must be (N, {channels}, H, W), got shape {shape}")
        return ((shape[0], int(np.prod(shape[1:]))),) if self.softmax else (shape,)

    def reach(self, bottom: Shape) -> Reach | None:
        return None if self.softmax else super().reach(bottom)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        (x,) = bottoms
        places = g.op("Reshape", x.name, g.ints([-1, self._numbers, *self._plane(x)]))
        size = self.coordinates
        cuts = ((0, 2), (2, size), (size, size + 1), (size + 1, self._numbers))
        first, sides, there, classes = (
            g.op("Slice", places, g.ints([start]), g.ints([stop]), g.ints([1])) for start, stop in cuts
        )
        likely = g.op("Softmax", classes, axis=1) if self.softmax else g.op("Sigmoid", classes)
        told = g.op("Concat", g.op("Sigmoid", first), sides, g.op("Sigmoid", there), likely, axis=1)
        if self.softmax:
            height, width = self._plane(x)
            return Emitted(
                (g.op("Reshape", told, g.ints([-1, self.regions * self._numbers * height * width])),), None
            )
        return Emitted((shaped_like(g, Value(told, (None,) * 4), x),), None)

    def _plane(self, x: Value) -> Shape:
        return Value(x.name, x.dims[2:]).shape

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (x,) = bottoms
        top = x.reshape(len(x), self.regions, self._numbers, -1).copy()
        for index in (0, 1, self.coordinates):
            top[:, :, index] = 1 / (1 + np.exp(-top[:, :, index]))
        classes = np.exp(top[:, :, self.coordinates + 1 :])
        top[:, :, self.coordinates + 1 :] = (
            classes / classes.sum(2, keepdims=True) if self.softmax else classes / (1 + classes)
        )
        return Referenced((top.reshape(self.out_shapes([x.shape])[0]),))
