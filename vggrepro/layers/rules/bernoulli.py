"""Random masks that depend on counters alone, and not on who draws them or when.

Whether element ``e`` of sample ``n`` is kept is a function of the layer's name, of the draw's seed, of
``n`` counted over the whole batch, and of ``e``. So a batch that is split over several ranks gets the
mask of the whole, and a run that resumes with the same seed goes on as if it had not stopped.

Everything is integer arithmetic without overflow, which is the same on every device and in NumPy. With
P = 2^31 - 1, in which x -> x^5 is a permutation,

    k1 = (seed + salt1)^5        k2 = (k1 + salt2)^5                      both mod P
    r(n) = ((n + k1)^5 + k2)^5   c(e) = ((e + k2)^5 + k1)^5               both mod P
    h(n, e) = (2 r(n) + 1) * c(e)   mod 2^32, as a signed number

and the element is kept where h is below a threshold. The costly powers are taken of one number for each
sample and one for each element; the whole mask costs one product, one cast and one comparison. In a
row, c is multiplied by an odd number, which permutes the 2^32 values. Two rows (or columns) are related
only where small odd multiples of theirs cancel mod 2^32: for one pair in some ten millions, whose masks
then correlate by a percent.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.emit import FLOAT, INT32, GraphBuilder, Value

P = 2**31 - 1


@dataclass(frozen=True)
class Bernoulli:
    """Masks that are True with probability ``keep``; ``salts`` tell one layer's masks from another's."""

    keep: float
    salts: tuple[int, int]

    @classmethod
    def named(cls, keep: float, name: str) -> Bernoulli:
        """The masks of the layer called ``name``."""
        digest = hashlib.sha256(name.encode()).digest()
        return cls(keep, (int.from_bytes(digest[:8], "big") % P, int.from_bytes(digest[8:16], "big") % P))

    @property
    def threshold(self) -> int:
        """As an int32: ``keep`` of all int32 values are below it."""
        return min(round(self.keep * 2**32) - 2**31, 2**31 - 1)

    def emit(self, g: GraphBuilder, x: Value, state: str) -> str:
        """A bool tensor (N, D) for ``x`` of shape (N, ...), D the product of its other sizes.

        ``state`` is int64 (2,): the seed, and the number of the first sample."""
        return g.op("Less", self.emit_words(g, x, state), g.const(self.threshold, np.int32))

    def emit_shares(self, g: GraphBuilder, x: Value, state: str) -> str:
        """The numbers that decide on a mask, from 0 to 1: float32 (N, D)."""
        words = g.op("Cast", self.emit_words(g, x, state), to=FLOAT)
        return g.op("Add", g.op("Mul", words, g.const(2.0**-32)), g.const(0.5))

    def emit_words(self, g: GraphBuilder, x: Value, state: str) -> str:
        """The numbers h of which the masks are made, int32 (N, D)."""
        samples, elements = self._counters(g, x)
        seed, first = (g.op("Gather", state, g.ints([i])) for i in (0, 1))
        k1 = _fifth(g, _plus(g, seed, g.ints(self.salts[0])))
        k2 = _fifth(g, _plus(g, k1, g.ints(self.salts[1])))
        numbers = g.op("Add", samples, first)
        rows = _fifth(g, _plus(g, _fifth(g, _plus(g, numbers, k1)), k2))  # (N, 1)
        columns = _fifth(g, _plus(g, _fifth(g, _plus(g, elements, k2)), k1))  # (1, D)
        odd = g.op("Add", g.op("Add", rows, rows), g.ints(1))
        product = g.op("Mul", odd, columns)  # (N, D), below 2^63
        return g.op("Cast", product, to=INT32)  # ONNX discards the higher bits

    @staticmethod
    def _counters(g: GraphBuilder, x: Value) -> tuple[str, str]:
        """0, 1, 2, ... for the samples (N, 1) and for the elements of each (1, D)."""
        if None not in x.dims:
            samples, elements = x.shape[0] if x.rank else 1, prod(x.shape[1:])
            return g.const([[n] for n in range(samples)], np.int64), g.const([range(elements)], np.int64)
        sizes = g.op("Shape", g.op("Flatten", x.name, axis=min(1, x.rank)))  # (N, D)
        counts = [g.op("Range", g.ints(0), g.op("Gather", sizes, g.ints(axis)), g.ints(1)) for axis in (0, 1)]
        return g.op("Unsqueeze", counts[0], g.ints([1])), g.op("Unsqueeze", counts[1], g.ints([0]))

    def draw(self, samples: int, elements: int, state: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """The same mask (N, D) in NumPy."""
        return np.asarray(self.draw_words(samples, elements, state) < self.threshold)

    def draw_shares(self, samples: int, elements: int, state: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """The same numbers (N, D) in NumPy."""
        return np.asarray(self.draw_words(samples, elements, state) * 2.0**-32 + 0.5)

    def draw_words(self, samples: int, elements: int, state: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
        seed, first = (int(s) for s in state)
        k1 = pow(seed + self.salts[0], 5, P)
        k2 = pow(k1 + self.salts[1], 5, P)
        rows = np.array([_mixed(first + n, k1, k2) for n in range(samples)], np.uint64)
        columns = np.array([_mixed(e, k2, k1) for e in range(elements)], np.uint64)
        return ((2 * rows[:, None] + 1) * columns).astype(np.uint32).view(np.int32)


def _mixed(counter: int, first_key: int, second_key: int) -> int:
    return pow(pow(counter + first_key, 5, P) + second_key, 5, P)


def _plus(g: GraphBuilder, a: str, b: str) -> str:
    return g.op("Mod", g.op("Add", a, b), g.ints(P))


def _fifth(g: GraphBuilder, x: str) -> str:
    """``x^5 mod P``; with x below P no product exceeds 2^62."""
    square = g.op("Mod", g.op("Mul", x, x), g.ints(P))
    fourth = g.op("Mod", g.op("Mul", square, square), g.ints(P))
    return g.op("Mod", g.op("Mul", fourth, x), g.ints(P))
