"""BoxAnnotatorOHEM: the regions with the largest losses keep their labels (R-FCN's layer; not from BVLC
Caffe).

Source: daijifeng001/caffe-rfcn, field ``box_annotator_ohem_param``; "Training Region-based Object Detectors
with Online Hard Example Mining" for what it is for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import FLOAT, INT64, GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import (
    Array,
    Emitted,
    Gradients,
    Layer,
    Needed,
    Reach,
    Referenced,
    Shapes,
    exactly,
    register,
)
from vggrepro.layers.rules.element_count import axis_places
from vggrepro.layers.rules.loss import legacy_size


@register
@dataclass(frozen=True)
class BoxAnnotatorOHEM(Layer[None]):
    """Bottoms: regions (N, 5, H, W), whose first number is the index of the image; the loss and the label
    of each, (N, 1, H, W); weights of its box's loss, (N, C, H, W). Sizes of 1 at the end may be missing.

    Tops: labels (N, 1, H, W) and weights (N, C, H, W). In each image the ``roi_per_img`` regions with the
    largest losses keep theirs; others get ``ignore_label`` and the weight 0. No gradient flows.

    DEVIATION: of equal losses the first region is taken, where the fork's sort does not say.
    """

    type = "BoxAnnotatorOHEM"
    origin = "R-FCN"
    bottoms = exactly(4)
    tops = exactly(2)

    roi_per_img: int
    ignore_label: int = -1

    @classmethod
    def from_param(cls, param: Any, phase: int) -> BoxAnnotatorOHEM:
        p = param.box_annotator_ohem_param
        if p.roi_per_img < 1:
            raise NetError(f"Check failed: roi_per_img_ > 0 ({p.roi_per_img} vs. 0)")
        return cls(p.roi_per_img, p.ignore_label)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        regions, *others = (tuple(legacy_size(b, axis) for axis in range(4)) for b in bottoms)
        number, _, height, width = regions
        for index, (shape, channels) in enumerate(
            zip((regions, *others), (5, 1, 1, others[2][1]), strict=True)
        ):
            if shape != (number, channels, height, width):
                raise ShapeError(
                    f"bottom[{index}] must be of shape ({number}, {channels}, {height}, {width}), got {shape}"
                )
        return (number, 1, height, width), (number, others[2][1], height, width)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        """A region's place is the number of those in its image that come before it: (R, R) comparisons."""
        regions, losses, labels, weights = (self._four_axes(g, b) for b in bottoms)
        images = g.op("Cast", g.op("Slice", regions, g.ints([0]), g.ints([1]), g.ints([1])), to=INT64)
        rows = [g.op("Reshape", tensor, g.ints([1, -1])) for tensor in (images, losses)]
        columns = [g.op("Reshape", tensor, g.ints([-1, 1])) for tensor in (images, losses)]
        index = axis_places(g, rows[0], 1)
        earlier = g.op("Less", index, g.op("Unsqueeze", index, g.ints([1])))
        tied = g.op("And", g.op("Equal", rows[1], columns[1]), earlier)
        ahead = g.op("Or", g.op("Greater", rows[1], columns[1]), tied)
        ahead = g.op("And", g.op("Equal", rows[0], columns[0]), ahead)
        place = g.op("ReduceSum", g.op("Cast", ahead, to=FLOAT), g.ints([1]), keepdims=0)
        chosen = g.op("Less", place, g.const(self.roi_per_img))
        kept = g.op("Reshape", chosen, g.op("Shape", labels))  # (N, 1, H, W)
        return Emitted(
            (
                g.op("Where", kept, labels, g.const(self.ignore_label)),
                g.op("Where", kept, weights, g.const(0)),
            ),
            None,
        )

    def _four_axes(self, g: GraphBuilder, x: Value) -> str:
        return x.name if x.rank == 4 else g.op("Unsqueeze", x.name, g.ints(list(range(x.rank, 4))))

    def grad(self, g: GraphBuilder, saved: None, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        """The fork's backward pass does nothing."""
        return Gradients((None,) * 4)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        shapes = self.out_shapes([b.shape for b in bottoms])
        number, _, height, width = shapes[0]
        images = bottoms[0].reshape(number, 5, height, width)[:, 0].reshape(-1).astype(int)
        chosen = np.zeros(images.shape, bool)
        left: dict[int, int] = {}
        for index in np.argsort(-bottoms[1].reshape(-1), kind="stable"):
            image = int(images[index])
            chosen[index] = left.setdefault(image, self.roi_per_img) > 0
            left[image] -= chosen[index]
        kept = chosen.reshape(shapes[0])
        labels, weights = (b.reshape(shape) for b, shape in zip(bottoms[2:], shapes, strict=True))
        return Referenced((np.where(kept, labels, self.ignore_label), np.where(kept, weights, 0)))
