"""Discrete Fourier transforms of rows as products with small matrices, in plain operators."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import isqrt
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from vggrepro.emit import GraphBuilder
from vggrepro.layers.base import Array

ComplexArray: TypeAlias = npt.NDArray[np.complex128]
Complex: TypeAlias = tuple[str, str]
"""The names of the real and of the imaginary parts of a tensor."""


def multiply(g: GraphBuilder, a: Complex, b: Complex, *, conjugate: bool = False) -> Complex:
    """``a * b``, element by element, or a times the conjugate of b."""
    re = g.op("Sub" if not conjugate else "Add", g.op("Mul", a[0], b[0]), g.op("Mul", a[1], b[1]))
    cross = g.op("Mul", a[1], b[0]), g.op("Mul", a[0], b[1])
    return re, g.op("Add" if not conjugate else "Sub", *cross)


@dataclass(frozen=True)
class Fourier:
    """The transform of rows of ``size`` numbers: ``size = p * q`` in two steps, of p and of q numbers (Cooley
    and Tukey 1965). Its frequencies are in an order of their own, (..., p, q)."""

    size: int

    @cached_property
    def factors(self) -> tuple[int, int]:
        """p and q, as near to each other as they may be."""
        p = next(p for p in range(isqrt(self.size), 0, -1) if self.size % p == 0)
        return p, self.size // p

    def forward(self, g: GraphBuilder, rows: str) -> Complex:
        """The frequencies (..., p, q) of real rows (..., size), which have two axes in front."""
        p, q = self.factors
        x = g.op("Reshape", rows, g.ints([0, 0, p, q]))
        turned = [g.op("MatMul", g.const(part), x) for part in _parts(_turns(p))]
        z = multiply(g, (turned[0], turned[1]), self._twiddles(g))
        return _times_matrix(g, z, _turns(q))

    def backward(self, g: GraphBuilder, z: Complex) -> str:
        """The real rows (..., size) of frequencies (..., p, q), times ``size``."""
        p, q = self.factors
        z = _times_matrix(g, z, _turns(q).conj())
        z = multiply(g, z, self._twiddles(g), conjugate=True)
        re, im = (
            g.op("MatMul", g.const(part), name) for part, name in zip(_parts(_turns(p)), z, strict=True)
        )
        return g.op("Reshape", g.op("Add", re, im), g.ints([0, 0, self.size]))

    def _twiddles(self, g: GraphBuilder) -> Complex:
        p, q = self.factors
        re, im = _parts(np.exp(-2j * np.pi / self.size * np.outer(np.arange(p), np.arange(q))))
        return g.const(re), g.const(im)


def _turns(size: int) -> ComplexArray:
    """The matrix (size, size) of the transform."""
    steps = np.outer(np.arange(size), np.arange(size)) % size
    turns: ComplexArray = np.exp(-2j * np.pi / size * steps)
    return turns


def _parts(matrix: ComplexArray) -> tuple[Array, Array]:
    return matrix.real, matrix.imag


def _times_matrix(g: GraphBuilder, z: Complex, matrix: ComplexArray) -> Complex:
    """(..., k) times (k, k)."""
    re, im = (g.const(part) for part in _parts(matrix))
    products = [g.op("MatMul", a, b) for a, b in ((z[0], re), (z[1], im), (z[0], im), (z[1], re))]
    return g.op("Sub", *products[:2]), g.op("Add", *products[2:])
