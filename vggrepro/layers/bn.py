"""BN: batch normalisation with scale and shift in one layer (not from BVLC Caffe).

Two forks' layers of one name, each with a ``bn_param`` of its own. SegNet's (alexgkendall/caffe-segnet; ENet
uses it too) has two blobs, and statistics of the batch or none at all: fields ``scale_filler``,
``shift_filler`` and ``bn_mode``. CUHK's (yjxiong/caffe, and hszhao/PSPNet with its descendants ICNet and
PSANet) has four, the last two of which are moving averages: fields ``slope_filler``, ``bias_filler``,
``momentum``, ``eps`` and ``frozen``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.messages import TEST, FillerParameter
from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import (
    Affine,
    Array,
    Count,
    Emitted,
    Gradients,
    Layer,
    Needed,
    ParamDef,
    Referenced,
    Shapes,
    register,
)
from vggrepro.layers.rules.batch_statistics import (
    channel_sums,
    normal,
    normal_gradient,
    reference_statistics,
)

SEGNET = frozenset({"scale_filler", "shift_filler", "bn_mode"})
CUHK = frozenset({"slope_filler", "bias_filler", "momentum", "eps", "frozen", "engine"})
SEGNET_EPS = 1e-9


class UsedStatistics(Enum):
    """What a layer normalises by."""

    NONE = "none"
    """Nothing: the top is scale * x + shift (SegNet's INFERENCE)."""
    BATCH = "batch"
    """The batch that it sees (SegNet's LEARN)."""
    MOVED = "moved"
    """The batch that it sees, toward which the averages move (CUHK's in TRAIN)."""
    AVERAGES = "averages"
    """The averages (CUHK's in TEST or frozen)."""


class _Saved(NamedTuple):
    rank: int
    x: str
    """What the scale multiplies: the normalised blob, or the bottom where nothing is normalised."""
    deviation: str | None
    scale: str


@register
@dataclass(frozen=True)
class BN(Layer[_Saved]):
    """Bottom and top (N, C), (N, C, W) or (N, C, H, W). Blobs, each (1, C, 1, 1): scale, shift, and with
    averages their mean and variance. CUHK saves its blobs as (1, C), PSPNet as (1, C, 1, 1): both load.

    SegNet's LEARN may have two more tops (1, C, 1, 1): mean and variance of the batch, without gradient.

    CUHK's backward takes the statistics for those of the batch unless the layer is frozen, in TEST too;
    a frozen one learns nothing. DEVIATION: its cuDNN engine averages the variance without bias, by
    m / (m - 1) larger than what is averaged here, as its other engine does.
    """

    type = "BN"
    origin = "SegNet, ENet; CUHK, PSPNet"
    tops = Count(1, 3)
    in_place = True

    statistics: UsedStatistics
    eps: float = SEGNET_EPS
    momentum: float = 0.9
    frozen: bool = False
    scale_filler: Any = field(default_factory=FillerParameter)
    shift_filler: Any = field(default_factory=FillerParameter)
    gives_statistics: int = 0
    """How many of mean and variance are tops."""

    @classmethod
    def from_param(cls, param: Any, phase: int) -> BN:
        p = param.bn_param
        given = {f.name for f, _ in p.ListFields()}
        cuhk = bool(given & CUHK) or (not given and len(param.param) == 4)
        if given & SEGNET and given & CUHK:
            raise NetError(f"bn_param: fields of two forks' layers: {', '.join(sorted(given))}")
        if not cuhk and not given:
            raise UnsupportedError(
                "BN without bn_param: SegNet's layer and CUHK's cannot be told apart; bn_mode makes it"
                " SegNet's, frozen or four times param CUHK's, or name the fork: segnet, cuhk"
            )
        layer = cls._cuhk(p, phase) if cuhk else cls._segnet(p, len(param.top) - 1)
        if len(param.top) - 1 != layer.gives_statistics:
            raise NetError("only BN with bn_mode LEARN gives mean and variance as tops")
        return layer

    @classmethod
    def _segnet(cls, p: Any, more: int) -> BN:
        learn = p.bn_mode == p.LEARN
        return cls(
            UsedStatistics.BATCH if learn else UsedStatistics.NONE,
            scale_filler=p.scale_filler,
            shift_filler=p.shift_filler,
            gives_statistics=more if learn else 0,
        )

    @classmethod
    def _cuhk(cls, p: Any, phase: int) -> BN:
        averages = p.frozen or phase == TEST
        return cls(
            UsedStatistics.AVERAGES if averages else UsedStatistics.MOVED,
            p.eps,
            p.momentum,
            p.frozen,
            p.slope_filler,
            p.bias_filler,
        )

    @property
    def _averaging(self) -> bool:
        return self.statistics in (UsedStatistics.MOVED, UsedStatistics.AVERAGES)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        (shape,) = bottoms
        if not 2 <= len(shape) <= 4:
            raise ShapeError(f"BN: bottom[0] must be (N, C, H, W) or end earlier, got shape {shape}")
        return (shape, *((1, shape[1], 1, 1),) * self.gives_statistics)

    def param_defs(self, bottoms: Shapes) -> tuple[ParamDef, ...]:
        channels = bottoms[0][1]
        variance = FillerParameter(type="constant", value=float(self.frozen))
        defs = [(filler, self.frozen) for filler in (self.scale_filler, self.shift_filler)]
        if self._averaging:
            defs += [(FillerParameter(), True), (variance, True)]
        flat = ((1, channels),) if self._averaging else ()
        return tuple(
            ParamDef((1, channels, 1, 1), filler, statistic=fixed, also_saved_as=flat)
            for filler, fixed in defs
        )

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        (x,) = bottoms
        scale, shift, *averages = (_aligned(g, p.name, x.rank) for p in params)
        tops: tuple[str, ...] = ()
        moved: dict[int, str] = {}
        if self.statistics == UsedStatistics.NONE:
            unit, deviation = x.name, None
        elif self.statistics == UsedStatistics.AVERAGES:
            deviation = g.op("Sqrt", g.op("Add", averages[1], g.const(self.eps)))
            unit = g.op("Div", g.op("Sub", x.name, averages[0]), deviation)
        else:
            unit, deviation, *news = normal(g, x, self.eps)
            news = [g.op("Reshape", new, g.ints([1, -1, 1, 1])) for new in news]
            tops = tuple(news[: self.gives_statistics])
            if self._averaging:
                moved = {2 + i: self._moved(g, params[2 + i].name, new) for i, new in enumerate(news)}
        y = g.op("Add", g.op("Mul", unit, scale), shift)
        return Emitted((y, *tops), _Saved(x.rank, unit, deviation, scale), next_params=moved)

    def _moved(self, g: GraphBuilder, old: str, new: str) -> str:
        kept = g.op("Mul", old, g.const(self.momentum))
        return g.op("Add", kept, g.op("Mul", new, g.const(1 - self.momentum)))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        rank, x, deviation, scale = saved
        dy = d_tops[0]
        params: list[str | None] = [None] * len(needed.params)
        if dy is None:
            return Gradients((None,), tuple(params))
        if needed.params[0]:
            params[0] = _summed(g, g.op("Mul", dy, x), rank)
        if needed.params[1]:
            params[1] = _summed(g, dy, rank)
        if not needed.bottoms[0]:
            return Gradients((None,), tuple(params))
        d = g.op("Mul", dy, scale)
        if deviation is not None:
            d = g.op("Div", d, deviation) if self.frozen else normal_gradient(g, rank, x, deviation, d)
        return Gradients((d,), tuple(params))

    def reread(self, saved: _Saved, bottoms: Sequence[str], tops: Sequence[str]) -> _Saved:
        """SegNet's INFERENCE reads the bottom again for the gradient of its scale."""
        return saved._replace(x=bottoms[0]) if self.statistics == UsedStatistics.NONE else saved

    def affine(self, params: Sequence[npt.NDArray[Any]], rank: int, axis: int) -> Affine | None:
        if axis != 1 or self.statistics not in (UsedStatistics.NONE, UsedStatistics.AVERAGES):
            return None
        scale, shift, *averages = (np.asarray(blob, np.float64).reshape(-1) for blob in params)
        if averages:
            scale = scale / np.sqrt(averages[1] + self.eps)
            shift = shift - averages[0] * scale
        return scale, shift

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        (x,) = bottoms
        scale, shift, *averages = (p.reshape(-1) for p in params)
        column = (-1,) + (1,) * (x.ndim - 2)
        batch = reference_statistics(x)
        mean, variance = averages if self.statistics == UsedStatistics.AVERAGES else batch
        if self.statistics == UsedStatistics.NONE:
            mean, variance = np.zeros_like(mean), np.ones_like(variance) - self.eps
        unit = (x - mean.reshape(column)) / np.sqrt(variance + self.eps).reshape(column)
        y = unit * scale.reshape(column) + shift.reshape(column)
        moved = {}
        if self.statistics == UsedStatistics.MOVED:
            for index, new in enumerate(batch, 2):
                moved[index] = self.momentum * params[index] + (1 - self.momentum) * new.reshape(1, -1, 1, 1)
        tops = [new.reshape(1, -1, 1, 1) for new in batch[: self.gives_statistics]]
        return Referenced((y, *tops), moved)


def _aligned(g: GraphBuilder, blob: str, rank: int) -> str:
    """A blob (1, C, 1, 1) as (1, C, ...) of ``rank`` axes."""
    return blob if rank == 4 else g.op("Reshape", blob, g.ints([1, -1, *[1] * (rank - 2)]))


def _summed(g: GraphBuilder, d: str, rank: int) -> str:
    """The sum of each channel, in the shape of a blob."""
    total = channel_sums(g, d, rank, keepdims=1)
    return total if rank == 4 else g.op("Reshape", total, g.ints([1, -1, 1, 1]))
