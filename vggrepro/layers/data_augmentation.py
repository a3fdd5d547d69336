"""DataAugmentation: images without their mean (FlowNet's layer; not from BVLC Caffe).

Source: lmb-freiburg/flownet2, field ``augmentation_param``. What it draws at random is not implemented.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError, UnsupportedError
from vggrepro.layers.base import Array, Count, Emitted, Layer, ParamDef, Referenced, Shapes, register


class SubtractedMean(Enum):
    """What is subtracted."""

    NOTHING = auto()
    GIVEN = auto()
    """Three numbers of the definition, one for each channel."""
    OF_PLACES = auto()
    """The second blob, (1, C, H, W)."""
    OF_CHANNELS = auto()
    """The third blob, (1, C, 1, 1)."""


@register
@dataclass(frozen=True)
class DataAugmentation(Layer[None]):
    """Bottom and top (N, C, H, W). Images are augmented only where ``crop_width`` and ``crop_height`` are
    given, which is refused; so a second bottom, the numbers to augment by, tells nothing.

    With ``recompute_mean`` there are three blobs: how many batches were seen, the mean of each place and that
    of each channel. Of a weight file for images of another size each place has the average of its channel.
    Without ``recompute_mean`` there is one blob, which tells nothing.

    DEVIATION: FlowNet goes on computing the mean, in TEST too, until ``recompute_mean`` batches were seen.
    Here the mean is that of the weights.
    """

    type = "DataAugmentation"
    origin = "FlowNet"
    bottoms = Count(1, 2)
    has_gradient = False

    mean: SubtractedMean
    values: tuple[float, ...] = ()
    has_means: bool = False

    @classmethod
    def from_param(cls, param: Any, phase: int) -> DataAugmentation:
        p = param.augmentation_param
        if p.HasField("crop_width") and p.HasField("crop_height"):
            raise UnsupportedError("augmentation_param: crop_width and crop_height are not implemented")
        if p.recompute_mean:
            return cls(
                SubtractedMean.OF_PLACES if p.mean_per_pixel else SubtractedMean.OF_CHANNELS, has_means=True
            )
        if len(p.mean) == 3 and not p.mean_per_pixel:
            return cls(SubtractedMean.GIVEN, tuple(p.mean))
        return cls(SubtractedMean.NOTHING)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        shape = bottoms[0]
        if len(shape) != 4 or (self.values and shape[1] != len(self.values)):
            channels = len(self.values) or "C"
            raise ShapeError(f"bottom[0] must be (N, {channels}, H, W), got shape {shape}")
        return (shape,)

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        seen = ParamDef((1, 1, 1, 1), statistic=True)
        if not self.has_means:
            return (seen,)
        channels = bottoms[0][1]
        places = ParamDef((1, *bottoms[0][1:]), statistic=True, spreads=True)
        return seen, places, ParamDef((1, channels, 1, 1), statistic=True)

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        x = bottoms[0].name
        if self.mean is SubtractedMean.NOTHING:
            return Emitted((x,), None)
        if self.mean is SubtractedMean.GIVEN:
            return Emitted((g.op("Sub", x, g.const(np.reshape(self.values, (1, -1, 1, 1)))),), None)
        return Emitted(
            (g.op("Sub", x, params[1 if self.mean is SubtractedMean.OF_PLACES else 2].name),), None
        )

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        x = bottoms[0]
        subtracted: dict[SubtractedMean, Any] = {
            SubtractedMean.NOTHING: 0,
            SubtractedMean.GIVEN: np.reshape(self.values, (-1, 1, 1)),
        }
        if self.has_means:
            subtracted |= {SubtractedMean.OF_PLACES: params[1], SubtractedMean.OF_CHANNELS: params[2]}
        return Referenced((x - subtracted[self.mean],))
