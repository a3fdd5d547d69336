"""Winograd's minimal filtering, for 3x3 convolutions with stride 1 and their gradients.

m outputs of a filter of r elements along one axis come from a product of two polynomials, and that is
known from its values at n = m + r - 1 points (Toom and Cook; Lavin and Gray, "Fast Algorithms for
Convolutional Neural Networks", 2015):

    y = A [(G w) * (B x)],   A (m, n), G (n, r), B (n, n),

so n multiplications do the work of m * r. With tiles of 4 rows and 2 columns of the image, 6 * 4 = 24
products stand for 72. This module has the matrices and says where the rules hold; the rules themselves are in
:mod:`vggrepro.layers.rules.winograd_forward` and :mod:`vggrepro.layers.rules.winograd_gradients`.

CPU cores, and a GPU without its tensor cores, are bound by multiplications;
docs/performance-findings.md has the times.
"""

from __future__ import annotations

from fractions import Fraction
from math import prod

import numpy as np
import numpy.typing as npt

from vggrepro.layers.rules.window import Windows

LEAST_FOR_INPUT = 48
LEAST_FOR_WEIGHT = 16
"""C * K / (C + K) from which on the two gradients are faster here than by direct summation."""
LEAST_FOR_WEIGHT_ON_CUDA = 48
"""The same for the weight's gradient on a GPU; the transforms weigh more there."""

TILE = (4, 2)
"""Rows and columns of a tile."""

FILTER = (3, 3)

ROW_POINTS = (Fraction(0), Fraction(1), Fraction(-1), Fraction(1, 2), Fraction(-2))
COLUMN_POINTS = (Fraction(0), Fraction(1), Fraction(-1))
"""The points at which the polynomials are evaluated along each axis. The point at infinity is one more along
both. The points decide the rounding error. Over 256 channels it was at most 1.0e-6 of the largest
gradient, 2.7e-7 by plain summation. 1/2 and -2 halve what 2 and -2 leave; 6 points in both directions
would spare more products, 4 for 1, but leave 4e-6."""

Matrix = npt.NDArray[np.float32]


def toom_cook(
    points: tuple[Fraction, ...], outputs: int, filter_size: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """A, G and B for correlation along one axis, at ``outputs + filter_size - 2`` points and infinity.

    B holds the polynomials that vanish at all points but one, which stay exact in binary for such
    points as these; their values there, by which they must be divided, go into G.
    """
    powers = [[p**i for i in range(max(outputs, filter_size))] for p in points]
    scales = [prod((p - q for q in points if q != p), start=Fraction(1)) for p in points]
    infinite = [[Fraction(i == size - 1) for i in range(size)] for size in (outputs, filter_size)]
    a = [*(row[:outputs] for row in powers), infinite[0]]
    g = [*([v / s for v in row[:filter_size]] for row, s in zip(powers, scales, strict=True)), infinite[1]]
    b = [[*_polynomial([q for q in points if q != p]), Fraction(0)] for p in points]
    b.append(_polynomial(points))
    return np.array(a, np.float64).T, np.array(g, np.float64), np.array(b, np.float64)


def _polynomial(roots: tuple[Fraction, ...] | list[Fraction]) -> list[Fraction]:
    """Coefficients of the product of (x - root), the constant one first."""
    result = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *result]
        result = [s - root * r for s, r in zip(shifted, [*result, Fraction(0)], strict=True)]
    return result


def holds(windows: Windows, group: int) -> bool:
    """Whether the rules here are those of a convolution."""
    return (
        windows.kernel == FILTER
        and windows.stride == windows.dilation == (1, 1)
        and max(windows.pad) < max(FILTER)
        and group == 1
    )


def saves_time(channels: int, outputs: int, products: int, places: int, least: int) -> bool:
    """Whether it is faster than direct summation from ``channels`` to ``outputs`` channels, with so many
    ``products`` for one channel of an image of so many ``places`` and one filter.

    The transforms cost time in proportion to C + K, the products that they spare to C * K; and tiles
    that stand over the edges must not eat up what is won.
    """
    if channels * outputs < least * (channels + outputs):
        return False
    return 2 * products <= prod(FILTER) * places
