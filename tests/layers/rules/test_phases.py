"""The gradient of the weight by pairs of rows and columns, against plain sums in float64."""

from __future__ import annotations

import numpy as np
import pytest
from graph_run import run_nodes

from vggrepro.emit import GraphBuilder
from vggrepro.layers.rules import phases
from vggrepro.layers.rules.phases import LEAST_PLACES, PhasedWeight
from vggrepro.layers.rules.window import Windows


@pytest.mark.parametrize("size", [(6, 8), (5, 7), (3, 4), (3, 9)])
@pytest.mark.parametrize("pad", [(1, 1), (0, 1), (2, 2), (1, 0)])
@pytest.mark.parametrize("together", [True, False])
def test_equals_the_sum(
    size: tuple[int, int], pad: tuple[int, int], together: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not together:
        monkeypatch.setattr(phases, "CHUNK", 1)
    out = tuple(s + 2 * p - 2 for s, p in zip(size, pad, strict=True))
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((3, 2, *size), np.float32), rng.standard_normal((3, 4, *out), np.float32)
    g = GraphBuilder("cuda-tf32")
    rule = PhasedWeight(x.shape, dy.shape, Windows((3, 3), (1, 1), pad, (1, 1)))
    (got,) = run_nodes(g, {"x": x, "dy": dy}, [rule.emit(g, "x", "dy")])
    padded = np.pad(x.astype(np.float64), [(0, 0), (0, 0), *((p, p) for p in pad)])
    expected = np.empty((4, 2, 3, 3))
    for down, right in np.ndindex(3, 3):
        seen = padded[:, :, down : down + out[0], right : right + out[1]]
        expected[:, :, down, right] = np.einsum("nchw,nkhw->kc", seen, dy)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("side", "windows", "group", "expected"),
    [
        (56, Windows((3, 3), (1, 1), (1, 1), (1, 1)), 1, True),
        (28, Windows((3, 3), (1, 1), (1, 1), (1, 1)), 1, False),
        (56, Windows((3, 3), (1, 1), (1, 1), (1, 1)), 2, False),
        (56, Windows((5, 5), (1, 1), (2, 2), (1, 1)), 1, False),
        (56, Windows((3, 3), (2, 2), (1, 1), (1, 1)), 1, False),
    ],
)
def test_where_it_pays(side: int, windows: Windows, group: int, expected: bool) -> None:
    shape = (1, 4, side, side)
    assert PhasedWeight(shape, shape, windows).pays(group) is expected
    assert 28**2 < LEAST_PLACES < 56**2
