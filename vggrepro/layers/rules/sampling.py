"""Random samples of candidates without replacement, which depend on counters alone as the masks of
:mod:`vggrepro.layers.rules.bernoulli` do.

Every candidate gets a key, a random number with the candidate's own index behind it, so that no two are
equal. A sample of k candidates is the k with the smallest keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.emit import FLOAT, INT64, GraphBuilder, Value
from vggrepro.layers.rules.bernoulli import Bernoulli
from vggrepro.layers.rules.element_count import axis_places
from vggrepro.layers.rules.pooling_nodes import LOWEST

INDEX = 2**22
"""More candidates than there ever are in an image."""

LAST = 2**62
"""A key behind all others."""

GROUP = 2**54
"""What is added to the keys of a group, so that they lie behind those of the group before."""

Flags = npt.NDArray[np.bool_]
Keys = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sampling:
    """The random keys of a layer."""

    source: Bernoulli

    @classmethod
    def named(cls, name: str) -> Sampling:
        """The keys of the layer called ``name``."""
        return cls(Bernoulli.named(1, name))

    def emit_keys(self, g: GraphBuilder, like: Value, state: str) -> str:
        """A key for each element of ``like`` (N, D): int64 (N, D), at least 0 and below ``GROUP``. ``state``
        is int64 (2,): the seed and the number of the first sample."""
        words = g.op("Cast", self.source.emit_words(g, like, state), to=INT64)
        above = g.op("Mul", g.op("Add", words, g.ints(2**31)), g.ints(INDEX))
        return g.op("Add", above, axis_places(g, like.name, 1))

    def draw_keys(self, samples: int, elements: int, state: npt.NDArray[Any]) -> Keys:
        """The same keys in NumPy."""
        words = self.source.draw_words(samples, elements, state).astype(np.int64)
        keys: Keys = (words + 2**31) * INDEX + np.arange(elements)
        return keys


def emit_chosen(g: GraphBuilder, flags: str, keys: str, most: str) -> str:
    """Of the candidates that are flagged, bool (N, D), those with the ``most`` smallest keys: bool (N, D).
    ``most``: int64 (N, 1) or (1, 1)."""
    own = g.op("Where", flags, keys, g.ints(LAST))
    sizes = g.op("Shape", flags)
    ordered, _ = g.ops("TopK", own, g.op("Gather", sizes, g.ints([1])), outputs=2, axis=1, largest=0)
    place = g.op("Sub", g.op("Min", most, g.op("Gather", sizes, g.ints([1]))), g.ints(1))
    rows = g.op("Concat", g.op("Gather", sizes, g.ints([0])), g.ints([1]), axis=0)
    index = g.op("Expand", g.op("Max", place, g.ints(0)), rows)
    edge = g.op("GatherElements", ordered, index, axis=1)
    within = g.op("And", g.op("LessOrEqual", own, edge), g.op("GreaterOrEqual", place, g.ints(0)))
    return g.op("And", flags, within)


def emit_number(g: GraphBuilder, flags: str) -> str:
    """How many are flagged in each row of bool (N, D): int64 (N, 1)."""
    return g.op("ReduceSum", g.op("Cast", flags, to=INT64), g.ints([1]))


def emit_any(g: GraphBuilder, flags: str, axis: int) -> str:
    """Whether a flag is true along an axis, which goes."""
    some = g.op("ReduceMax", g.op("Cast", flags, to=FLOAT), g.ints([axis]), keepdims=0)
    return g.op("Greater", some, g.const(0.5))


def chosen(flags: Flags, keys: Keys, most: int) -> Flags:
    """As :func:`emit_chosen` of one row (D), in NumPy."""
    stays = np.zeros_like(flags)
    index = np.flatnonzero(flags)
    stays[index[np.argsort(keys[index])[: max(most, 0)]]] = True
    return stays


def emit_highest(g: GraphBuilder, flags: str, scores: str, most: str) -> str:
    """Of the candidates that are flagged, bool (N, D), those with the ``most`` largest scores (N, D), of
    equal ones the last first: bool (N, D). ``most``: int64 (N, 1) or (1, 1)."""
    end = g.ints([np.iinfo(np.int64).min])
    turned = g.op("Where", flags, scores, g.const(LOWEST))
    turned = g.op("Slice", turned, g.ints([-1]), end, g.ints([1]), g.ints([-1]))
    number = g.op("Shape", flags, start=1)
    _, index = g.ops("TopK", turned, number, outputs=2, axis=1)
    places = g.op("Range", g.ints(0), g.op("Squeeze", number, g.ints([0])), g.ints(1))
    first = g.op("Cast", g.op("Less", places, most), to=FLOAT)
    first = g.op("Expand", first, g.op("Shape", flags))
    marks = g.op("ScatterElements", g.op("Mul", first, g.const(0)), index, first, axis=1)
    marks = g.op("Slice", marks, g.ints([-1]), end, g.ints([1]), g.ints([-1]))
    return g.op("And", flags, g.op("Greater", marks, g.const(0.5)))


def highest(flags: Flags, scores: npt.NDArray[np.float64], most: int) -> Flags:
    """As :func:`emit_highest` of one row (D), in NumPy."""
    stays = np.zeros_like(flags)
    index = np.flatnonzero(flags)[::-1]
    stays[index[np.argsort(-scores[index], kind="stable")[: max(most, 0)]]] = True
    return stays
