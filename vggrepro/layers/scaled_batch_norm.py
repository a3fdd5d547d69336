"""BatchNorm with ``scale_bias``: scale and shift inside the layer (NVCaffe's variant; not from BVLC Caffe).

Source: NVIDIA/caffe, whose BatchNorm layer has three fields more: ``scale_bias``, ``scale_filler`` and
``bias_filler``. Any of them asks for this layer; without them NVCaffe's is taken for BVLC's. The caffe-xilinx
of Xilinx/Vitis-AI (``cudnn_batch_norm_fixed_layer.cu``) has the same fields, and its blobs in another order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.messages import TEST, FillerParameter
from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError, UnsupportedError
from vggrepro.layers.base import (
    Affine,
    Array,
    Emitted,
    Gradients,
    Layer,
    Needed,
    ParamDef,
    Referenced,
    Shapes,
    StateDef,
)
from vggrepro.layers.rules.batch_statistics import (
    channel_sums,
    normal,
    normal_gradient,
    reference_statistics,
    reference_to_average,
    to_average,
)

LEAST_EPS = 1e-5

T = TypeVar("T")


class _Saved(NamedTuple):
    rank: int
    unit: str
    deviation: str
    scale: str


@dataclass(frozen=True)
class ScaledBatchNorm(Layer[_Saved]):
    """Bottom and top (N, C, ...): (x - mean) / sqrt(variance + eps) * scale + shift. Blobs: means (C),
    variances (C), a factor (1) that is always 1 and not used, scale (C) and shift (C).

    TEST takes mean and variance from the blobs. TRAIN takes those of the batch, and moves the blobs: in
    the first pass they become the batch's, later they keep ``moving_average_fraction`` of themselves. The
    state ``passes`` is int64 (): how many there were. The variance is averaged without bias, as by cuDNN,
    NVCaffe's default engine. Backward takes the statistics for those of the batch, in TEST too.

    DEVIATION: NVCaffe counts the solver's iterations; here the passes since the start or the resume count.
    """

    type = "BatchNorm"
    origin = "NVCaffe"
    in_place = True

    train: bool
    moving_average_fraction: float = 0.999
    eps: float = LEAST_EPS
    scale_filler: Any = field(default_factory=lambda: FillerParameter(value=1))
    bias_filler: Any = field(default_factory=FillerParameter)

    @staticmethod
    def asked_for(param: Any) -> bool:
        """Whether a ``BatchNormParameter`` has one of NVCaffe's fields."""
        fields = ("scale_filler", "bias_filler", "scale_first")
        return bool(param.scale_bias or any(map(param.HasField, fields)))

    @classmethod
    def from_param(cls, param: Any, phase: int) -> ScaledBatchNorm:
        p = param.batch_norm_param
        if cls is ScaledBatchNorm and (p.scale_first or len(param.param) == 4):
            return ScaleFirstBatchNorm.from_param(param, phase)
        return cls(
            phase != TEST,
            p.moving_average_fraction,
            max(p.eps, LEAST_EPS),
            p.scale_filler if p.HasField("scale_filler") else FillerParameter(value=1),
            p.bias_filler,
        )

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        (shape,) = bottoms
        if len(shape) < 2:
            raise ShapeError(f"BatchNorm with scale_bias: bottom[0] has no channels, its shape is {shape}")
        return (shape,)

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        channels = bottoms[0][1]
        statistics = [ParamDef((channels,), statistic=True)] * 2
        factor = ParamDef((1,), FillerParameter(value=1), statistic=True)
        learned = [ParamDef((channels,), filler) for filler in (self.scale_filler, self.bias_filler)]
        return (*statistics, factor, *learned)

    def state_defs(self, bottoms: Shapes) -> tuple[StateDef, ...]:
        return (StateDef("passes", np.zeros((), np.int64)),) if self.train else ()

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        (x,) = bottoms
        column = g.ints([1, -1, *[1] * (x.rank - 2)])
        mean, variance, _, scale, shift = (g.op("Reshape", p.name, column) for p in params)
        moved: dict[int, str] = {}
        following: tuple[str, ...] = ()
        if self.train:
            batch = normal(g, x, self.eps)
            unit, deviation = batch.unit, batch.deviation
            moved = self._moved(g, params, to_average(g, x, batch), states[0])
            following = (g.op("Add", states[0].name, g.ints(1)),)
        else:
            deviation = g.op("Sqrt", g.op("Add", variance, g.const(self.eps)))
            unit = g.op("Div", g.op("Sub", x.name, mean), deviation)
        top = g.op("Add", g.op("Mul", unit, scale), shift)
        return Emitted((top,), _Saved(x.rank, unit, deviation, scale), moved, following)

    def _moved(
        self, g: GraphBuilder, params: Sequence[Value], news: tuple[str, str], passes: Value
    ) -> dict[int, str]:
        """Mean and variance after this pass."""
        later = g.op("Greater", passes.name, g.ints(0))
        kept = g.op("Where", later, g.const(self.moving_average_fraction), g.const(0))
        share = g.op("Sub", g.const(1), kept)
        return {
            index: g.op("Add", g.op("Mul", old.name, kept), g.op("Mul", new, share))
            for index, (old, new) in enumerate(zip(params[:2], news, strict=True))
        }

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        rank, unit, deviation, scale = saved
        dy = d_tops[0]
        if dy is None:
            return Gradients((None,), (None,) * 5)
        d_scale = d_shift = dx = None
        if needed.params[3]:
            d_scale = channel_sums(g, g.op("Mul", dy, unit), rank)
        if needed.params[4]:
            d_shift = channel_sums(g, dy, rank)
        if needed.bottoms[0]:
            dx = normal_gradient(g, rank, unit, deviation, g.op("Mul", dy, scale))
        return Gradients((dx,), (None, None, None, d_scale, d_shift))

    def affine(self, params: Sequence[npt.NDArray[Any]], rank: int, axis: int) -> Affine | None:
        if self.train or axis != 1:
            return None
        mean, variance, _, scale, shift = (np.asarray(blob, np.float64) for blob in params)
        factor = scale / np.sqrt(variance + self.eps)
        return factor, shift - mean * factor

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (x,) = bottoms
        column = (-1,) + (1,) * (x.ndim - 2)
        mean, variance = reference_statistics(x) if self.train else params[:2]
        scale, shift = (p.reshape(column) for p in params[3:])
        unit = (x - mean.reshape(column)) / np.sqrt(variance + self.eps).reshape(column)
        top = unit * scale + shift
        if not self.train:
            return Referenced((top,))
        kept = self.moving_average_fraction if states[0] > 0 else 0.0
        news = enumerate(reference_to_average(x))
        moved = {index: kept * params[index] + (1 - kept) * new for index, new in news}
        return Referenced((top,), moved, (states[0] + 1,))


@dataclass(frozen=True)
class ScaleFirstBatchNorm(ScaledBatchNorm):
    """Xilinx's: the same with the blobs scale (C), shift (C), means (C) and variances (C). A layer with four
    ``param`` messages is taken for it, and with ``--fork xilinx`` any with a field of NVCaffe's.

    How the fork averages in TRAIN is not known: that phase is refused.
    """

    origin = "Xilinx"

    @classmethod
    def from_param(cls, param: Any, phase: int) -> ScaledBatchNorm:
        if phase != TEST:
            raise UnsupportedError(
                "BatchNorm with four blobs, scale and shift first, is Xilinx's: implemented in TEST alone"
            )
        return super().from_param(param, phase)

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        mean, variance, _, scale, shift = super().param_defs(bottoms)
        return scale, shift, mean, variance

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        return super().emit(g, bottoms, _as_nvcaffes(params), states)

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        learned = Needed(needed.bottoms, (False, False, False, *needed.params[:2]))
        found = super().grad(g, saved, d_tops, learned)
        return Gradients(found.bottoms, (*found.params[3:], None, None))

    def affine(self, params: Sequence[npt.NDArray[Any]], rank: int, axis: int) -> Affine | None:
        return super().affine(_as_nvcaffes(params), rank, axis)

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        return super().reference(bottoms, _as_nvcaffes(params), states)


def _as_nvcaffes(params: Sequence[T]) -> list[T]:
    """Scale, shift, means and variances in NVCaffe's order; in place of the factor, which nobody reads, the
    variances again."""
    scale, shift, mean, variance = params
    return [mean, variance, variance, scale, shift]
