"""BatchNorm: subtract the mean and divide by the standard deviation of each channel (Caffe's BatchNorm
layer, which leaves scale and shift to a Scale layer behind it)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.messages import TEST
from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import (
    Affine,
    AnyLayer,
    Array,
    Emitted,
    Gradients,
    Layer,
    Needed,
    ParamDef,
    Referenced,
    Shapes,
    register,
)
from vggrepro.layers.rules.axes import shape_string
from vggrepro.layers.rules.batch_statistics import (
    normal,
    normal_gradient,
    reference_statistics,
    reference_to_average,
    to_average,
)
from vggrepro.layers.scaled_batch_norm import ScaledBatchNorm


class _Saved(NamedTuple):
    rank: int
    y: str
    deviation: str


@register
@dataclass(frozen=True)
class BatchNorm(Layer[_Saved]):
    """Bottom and top (N, C, ...). Blobs: means (C), variances (C) and a factor (1) that both are
    multiplied with: the sum of the weights of a moving average that began at 0.

    With global statistics the blobs normalise, otherwise the batch's own mean and variance do, and the
    forward pass moves the blobs toward them.
    """

    type = "BatchNorm"
    in_place = True

    use_global_stats: bool
    moving_average_fraction: float = 0.999
    eps: float = 1e-5

    @classmethod
    def from_param(cls, param: Any, phase: int) -> AnyLayer:
        """NVCaffe's layer, where its fields are set."""
        p = param.batch_norm_param
        if ScaledBatchNorm.asked_for(p):
            return ScaledBatchNorm.from_param(param, phase)
        for spec in param.param[:3]:
            if spec.lr_mult != 0:
                raise NetError(
                    "Check failed: this->layer_param_.param(i).lr_mult() == 0.f"
                    f" ({spec.lr_mult:g} vs. 0)"
                    " Cannot configure batch normalization statistics as layer parameters."
                )
        given = p.HasField("use_global_stats")
        return cls(p.use_global_stats if given else phase == TEST, p.moving_average_fraction, p.eps)

    @classmethod
    def set_up(cls, definition: Any) -> None:
        """Mean, variance and factor are statistics that no solver moves: each gets a learning rate of 0."""
        while len(definition.param) < 3:
            definition.param.add(lr_mult=0)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        (shape,) = bottoms
        if len(shape) < 2:
            raise ShapeError(f"axis 1 out of range for {len(shape)}-D Blob with shape {shape_string(shape)}")
        return (shape,)

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        channels = bottoms[0][1]
        return tuple(ParamDef((size,), statistic=True) for size in (channels, channels, 1))

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        (x,) = bottoms
        if not self.use_global_stats:
            batch = normal(g, x, self.eps)
            news = (*to_average(g, x, batch), g.const([1]))
            saved = _Saved(x.rank, batch.unit, batch.deviation)
            return Emitted((batch.unit,), saved, next_params=self._moved(g, params, news))
        mean, variance = self._global(g, x, params)
        deviation = g.op("Sqrt", g.op("Add", variance, g.const(self.eps)))
        y = g.op("Div", g.op("Sub", x.name, mean), deviation)
        return Emitted((y,), saved=_Saved(x.rank, y, deviation))

    def _global(self, g: GraphBuilder, x: Value, params: Sequence[Value]) -> list[str]:
        """Mean and variance of the blobs, as (C, 1, ...), to broadcast. A factor of 0 makes both 0."""
        factor = params[2].name
        none = g.op("Equal", factor, g.const(0))
        some = g.op("Where", none, g.const(1), factor)
        weight = g.op("Div", g.op("Where", none, g.const(0), g.const(1)), some)
        column = g.ints([-1, *[1] * (x.rank - 2)])
        return [g.op("Reshape", g.op("Mul", p.name, weight), column) for p in params[:2]]

    def _moved(self, g: GraphBuilder, params: Sequence[Value], news: Sequence[str]) -> dict[int, str]:
        """The blobs after this pass."""
        fraction = g.const(self.moving_average_fraction)
        return {
            index: g.op("Add", g.op("Mul", old.name, fraction), new)
            for index, (old, new) in enumerate(zip(params, news, strict=True))
        }

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        """With global statistics dy / deviation."""
        rank, y, deviation = saved
        dy = d_tops[0]
        if dy is None or not needed.bottoms[0]:
            return Gradients((None,), (None,) * 3)
        if self.use_global_stats:
            return Gradients((g.op("Div", dy, deviation),), (None,) * 3)
        return Gradients((normal_gradient(g, rank, y, deviation, dy),), (None,) * 3)

    def affine(self, params: Sequence[npt.NDArray[Any]], rank: int, axis: int) -> Affine | None:
        return global_affine(params, self.eps) if self.use_global_stats and axis == 1 else None

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (x,) = bottoms
        column = (-1,) + (1,) * (x.ndim - 2)
        if self.use_global_stats:
            scale, shift = (value.reshape(column) for value in global_affine(params, self.eps))
            return Referenced((x * scale + shift,))
        mean, variance = (value.reshape(column) for value in reference_statistics(x))
        batch = (*reference_to_average(x), np.ones(1))
        moved = {i: self.moving_average_fraction * params[i] + new for i, new in enumerate(batch)}
        return Referenced(((x - mean) / np.sqrt(variance + self.eps),), moved)


def global_affine(blobs: Sequence[Array], eps: float) -> tuple[Array, Array]:
    """The scale and shift (both (C), float64) that BatchNorm with global statistics comes to:
    y = scale * x + shift. ``blobs``: its means, variances and factor."""
    means, variances, (factor,) = (np.asarray(blob, np.float64) for blob in blobs)
    weight = 0 if factor == 0 else 1 / factor
    scale = 1 / np.sqrt(variances * weight + eps)
    return scale, -means * weight * scale
