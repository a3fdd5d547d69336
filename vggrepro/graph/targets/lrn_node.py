"""Caffe's local response normalisation across channels as one LRN node.

The layer says it with a product by a band matrix, which ONNX Runtime computes ten times as fast.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vggrepro.graph.targets.draft import Place, made_by


def lrn(place: Place) -> Sequence[str] | None:
    """LRN for ``x * (band * x^2 + k)^-beta``, found at its last product."""
    for index in (0, 1):
        found = _power(place, 1 - index)
        if found is not None:
            beta, base = found
            parts = _band(base, place.input(index))
            if parts is not None:
                size, alpha, k = parts
                x = place.input(index)
                return [place.g.op("LRN", x, size=size, alpha=alpha, beta=beta, bias=k)]
    return None


def _power(place: Place, index: int) -> tuple[float, Place] | None:
    """beta and the convolution, of an input that is ``conv^-beta``: a Pow, or two roots for 0.75."""
    power = made_by(place, index, "Pow")
    if power is not None:
        exponent, base = power.array(1), made_by(power, 0, "Conv")
        return None if exponent is None or base is None or exponent.size != 1 else (-exponent.item(), base)
    product = made_by(place, index, "Mul")
    root = product and made_by(product, 0, "Sqrt")
    fourth = product and made_by(product, 1, "Sqrt")
    if root is None or fourth is None or product is None or fourth.input(0) != product.input(0):
        return None
    inverse = made_by(root, 0, "Reciprocal")
    base = inverse and made_by(inverse, 0, "Conv")
    return None if base is None else (0.75, base)


def _band(conv: Place, x: str) -> tuple[int, float, float] | None:
    """(size, alpha, k) of a convolution of x^2 by a band matrix."""
    square, weight, bias = made_by(conv, 0, "Mul"), conv.array(1), conv.array(2)
    if square is None or list(square.node.input) != [x, x] or weight is None or bias is None:
        return None
    if weight.shape[0] != weight.shape[1] or weight[0, 0].size != 1 or np.any(bias != bias[0]):
        return None
    matrix = weight.reshape(len(weight), -1)
    reach = int(np.count_nonzero(matrix[0])) - 1
    places = np.arange(len(matrix))
    band = np.where(np.abs(np.subtract.outer(places, places)) <= reach, matrix[0, 0], 0)
    if reach < 0 or np.any(matrix != band):
        return None
    size = 2 * reach + 1
    return size, float(matrix[0, 0]) * size, float(bias[0])
