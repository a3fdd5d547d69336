"""Mean and variance of each channel over a batch, and the gradient through them: what the layers share
that normalise by the batch that they see."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vggrepro.emit import GraphBuilder, Value
from vggrepro.layers.base import Array
from vggrepro.layers.rules.element_count import element_count
from vggrepro.layers.rules.reduce import reduced


class Normal(NamedTuple):
    """Names of tensors: ``unit`` is the blob less ``mean``, divided by ``deviation``, the root of
    ``variance`` plus eps. The last three are (1, C, 1, ...); the variance is the biased one."""

    unit: str
    deviation: str
    mean: str
    variance: str


def normal(g: GraphBuilder, x: Value, eps: float) -> Normal:
    """A blob (N, C, ...) brought to mean 0 and variance 1 in each channel."""
    mean = channel_means(g, x.name, x.rank)
    centred = g.op("Sub", x.name, mean)
    variance = channel_means(g, g.op("Mul", centred, centred), x.rank)
    deviation = g.op("Sqrt", g.op("Add", variance, g.const(eps)))
    return Normal(g.op("Div", centred, deviation), deviation, mean, variance)


def to_average(g: GraphBuilder, x: Value, batch: Normal) -> tuple[str, str]:
    """The mean of a batch (N, C, ...) and its variance without bias, m / (m - 1) of the biased one: both
    (C), for a moving average."""
    (channels,) = Value(x.name, x.dims[1:2]).shape
    m = g.op("Div", element_count(g, x), g.const(channels))
    correction = g.op("Div", m, g.op("Max", g.op("Sub", m, g.const(1)), g.const(1)))
    mean, variance = (g.op("Reshape", value, g.ints([-1])) for value in (batch.mean, batch.variance))
    return mean, g.op("Mul", variance, correction)


def normal_gradient(g: GraphBuilder, rank: int, unit: str, deviation: str, d: str) -> str:
    """(d - mean(d) - unit * mean(d * unit)) / deviation: the gradient of the blob from that of ``unit``."""
    along = g.op("Mul", unit, channel_means(g, g.op("Mul", d, unit), rank))
    return g.op("Div", g.op("Sub", g.op("Sub", d, channel_means(g, d, rank)), along), deviation)


def reference_statistics(x: Array) -> tuple[Array, Array]:
    """Mean and biased variance of each channel of (N, C, ...) in NumPy: both (C)."""
    channels = np.moveaxis(x, 1, 0).reshape(x.shape[1], -1)
    return channels.mean(1), channels.var(1)


def reference_to_average(x: Array) -> tuple[Array, Array]:
    """What :func:`to_average` gives, in NumPy."""
    mean, variance = reference_statistics(x)
    m = x.size // x.shape[1]
    return mean, variance * m / max(m - 1, 1)


def channel_means(g: GraphBuilder, x: str, rank: int) -> str:
    """The mean of each channel of a tensor (N, C, ...): (1, C, 1, ...)."""
    return reduced(g, "ReduceMean", x, rank, statistic_axes(rank), keepdims=1)


def channel_sums(g: GraphBuilder, x: str, rank: int, *, keepdims: int = 0) -> str:
    """The sum of each channel of a tensor (N, C, ...): (C), with ``keepdims`` (1, C, 1, ...)."""
    return reduced(g, "ReduceSum", x, rank, statistic_axes(rank), keepdims=keepdims)


def statistic_axes(rank: int) -> list[int]:
    """All axes but the channels'."""
    return [axis for axis in range(rank) if axis != 1]
