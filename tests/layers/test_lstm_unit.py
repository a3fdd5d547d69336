from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds, values

from vggrepro.errors import ShapeError

LAYER = parse('type: "LSTMUnit" top: "c" top: "h"')


def bottoms_of(streams: int, hidden: int, cont: list[float], seed: int) -> list[np.ndarray]:
    cells, gates = values(seed, (1, streams, hidden)), values(seed + 1, (1, streams, 4 * hidden), -3, 3)
    return [cells, gates, np.array([cont], np.float32)]


@few
@given(st.lists(st.sampled_from([0, 1]), min_size=1, max_size=4), st.integers(1, 5), seeds)
def test_any_shape(cont: list[float], hidden: int, seed: int) -> None:
    bottoms = bottoms_of(len(cont), hidden, cont, seed)
    check_forward(LAYER, bottoms, dims=[(1, None, hidden), (1, None, 4 * hidden), (1, None)])
    check_gradient(LAYER, bottoms)


@pytest.mark.parametrize("without", [0, 1])
def test_one_top_without_gradient(without: int) -> None:
    bottoms = bottoms_of(3, 2, [1, 0, 1], 0)
    d_tops: list[np.ndarray | None] = [values(5, (1, 3, 2)), values(6, (1, 3, 2))]
    d_tops[without] = None
    check_gradient(LAYER, bottoms, d_tops=d_tops)
    assert run_gradient(LAYER, bottoms, [], [None, None]) == [None, None, None]


def test_a_fraction_of_cont_scales_the_forget_gate_and_its_slope_as_caffe_has_it() -> None:
    """Caffe's slope of the forget gate is f (1 - f) with f = cont * sigmoid, not cont times sigmoid's."""
    cells, gates, cont = bottoms_of(1, 2, [0.25], 1)
    check_forward(LAYER, [cells, gates, cont])
    dc = np.array([[[2, -3]]], np.float32)
    _, d_gates, _ = run_gradient(LAYER, [cells, gates, cont], [], [dc, None])
    f = 0.25 / (1 + np.exp(-np.float64(gates[..., 2:4])))
    np.testing.assert_allclose(d_gates[..., 2:4], dc * cells * f * (1 - f), rtol=1e-5)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((2, 3, 4), (2, 3, 16), (2, 3)), r"1 == bottom\[0\]->shape\(0\) \(1 vs. 2\)"),
        (((1, 3, 4), (1, 3, 12), (1, 3)), r"4 \* hidden_dim_ == bottom\[1\]->shape\(2\) \(16 vs. 12\)"),
        (((1, 3, 4), (1, 3, 16), (1, 4)), r"num_instances == bottom\[2\]->shape\(1\) \(3 vs. 4\)"),
        (((1, 3, 4), (1, 3, 16), (1, 3, 1)), r"2 == bottom\[2\]->num_axes\(\) \(2 vs. 3\)"),
        (((3, 4), (3, 16), (1, 3)), r"3 == bottom\[0\]->num_axes\(\) \(3 vs. 2\)"),
    ],
)
def test_shapes_that_do_not_fit(shapes: tuple[tuple[int, ...], ...], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        LAYER.out_shapes(shapes)
