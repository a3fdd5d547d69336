"""Weights stored as float16."""

from __future__ import annotations

import numpy as np
import pytest
from drafts import draft, noise, operators, result

from vggrepro.emit import GraphBuilder
from vggrepro.errors import UnsupportedError
from vggrepro.graph.targets.half import with_half_weights

X = noise(2, 300)
LARGE, SMALL = noise(4, 300), noise(4)


def _product(g: GraphBuilder) -> str:
    return g.op("Gemm", "x", g.const(LARGE), g.const(SMALL), transB=1)


def test_large_weights_are_halved_and_cast() -> None:
    d = with_half_weights(draft(_product, (2, 300), (2, 4)))
    assert operators(d) == ["Cast", "Gemm"]
    assert sorted(str(a.dtype) for a in d.constants.values()) == ["float16", "float32"]
    np.testing.assert_allclose(
        result(d, X), X @ LARGE.astype(np.float16).T.astype(np.float32) + SMALL, rtol=1e-5
    )


def test_values_beyond_its_range_are_refused() -> None:
    d = draft(lambda g: g.op("Gemm", "x", g.const(LARGE * np.float32(1e5)), transB=1), (2, 300), (2, 4))
    with pytest.raises(UnsupportedError, match="values beyond 65504 are not in float16"):
        with_half_weights(d)
