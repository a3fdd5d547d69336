"""Products of a few rows with a large matrix."""

from __future__ import annotations

import numpy as np
import pytest
from graph_run import run_nodes

from vggrepro.emit import GraphBuilder, RuleSet
from vggrepro.layers.rules import few_rows

RNG = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape, np.float32)


@pytest.mark.parametrize("bias", [[], ["b"]])
@pytest.mark.parametrize("rows", [1, 3])
def test_times_the_transpose(rows: int, bias: list[str]) -> None:
    g = GraphBuilder("cpu")
    arrays = {"x": floats(rows, 70), "m": floats(20, 70), "b": floats(20)}
    feeds = {name: arrays[name] for name in ["x", "m", *bias]}
    (y,) = run_nodes(g, feeds, [few_rows.times_transposed(g, "x", rows, "m", bias)])
    want = arrays["x"] @ arrays["m"].T + (arrays["b"] if bias else 0)
    np.testing.assert_allclose(y, want, rtol=1e-4, atol=1e-5)


def test_times() -> None:
    g = GraphBuilder("cpu")
    x, matrix = floats(3, 5 * few_rows.STEP), floats(5 * few_rows.STEP, 20)
    (y,) = run_nodes(g, {"x": x, "m": matrix}, [few_rows.times(g, "x", "m", 3, matrix.shape)])
    np.testing.assert_allclose(y, x @ matrix, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("rules", "rows", "elements", "expected"),
    [
        ("cpu", 8, 2**22, True),
        ("cpu", 8, 2**22 - 1, False),
        ("cpu", 17, 2**22, False),
        ("cpu", 1, 2**22, True),
        ("cpu", None, 2**22, False),
        ("cuda", 8, 2**22, False),
        (None, 8, 2**22, False),
    ],
)
def test_when_it_pays(rules: RuleSet | None, rows: int | None, elements: int, expected: bool) -> None:
    assert few_rows.pays(GraphBuilder(rules), rows, elements) is expected
