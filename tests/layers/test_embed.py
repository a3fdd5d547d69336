from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient, tie_free
from hypothesis import given, settings
from hypothesis import strategies as st

from vggrepro.errors import NetError

some = settings(max_examples=50, deadline=None)


@given(
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    rows=st.integers(1, 6),
    outputs=st.integers(1, 4),
    bias=st.booleans(),
    free=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
@some
def test_forward_and_gradient(
    shape: list[int], rows: int, outputs: int, bias: bool, free: bool, seed: int
) -> None:
    layer = parse(
        'type: "Embed" embed_param'
        f" {{ num_output: {outputs} input_dim: {rows} bias_term: {str(bias).lower()} }}"
    )
    rng = np.random.default_rng(seed)
    numbers = rng.integers(0, rows, shape).astype(np.float32)
    params = [tie_free(rng, d.shape) for d in layer.param_defs([tuple(shape)])]
    check_forward(layer, [numbers], params, dims=[(None,) * len(shape)] if free else None)
    check_gradient(layer, [numbers], params)


def test_uses_of_a_row_are_summed() -> None:
    layer = parse('type: "Embed" embed_param { num_output: 1 input_dim: 3 }')
    dy = np.float32([[1], [2], [4]])
    got = run_gradient(layer, [np.float32([2, 0, 2])], [np.zeros((3, 1), "f4"), np.zeros(1, "f4")], [dy])
    assert got[0] is None
    assert got[1].tolist() == [[2], [0], [5]]
    assert got[2].tolist() == [7]


def test_numbers_are_truncated() -> None:
    layer = parse('type: "Embed" embed_param { num_output: 1 input_dim: 3 bias_term: false }')
    (y,) = check_forward(layer, [np.float32([1.9, 0.5])], [np.float32([[1], [2], [3]])])
    assert y.tolist() == [[2], [1]]


@pytest.mark.parametrize("number", [-1, 3])
def test_numbers_outside_of_the_table(number: int) -> None:
    layer = parse('type: "Embed" embed_param { num_output: 1 input_dim: 3 bias_term: false }')
    with pytest.raises(NetError, match="outside of 0 to 2"):
        layer.reference([np.float64([number])], [np.zeros((3, 1))], [])


@pytest.mark.parametrize("text", ["num_output: 1", "input_dim: 1"])
def test_what_caffe_refuses(text: str) -> None:
    with pytest.raises(NetError, match=r"EmbedLayer .* must be positive"):
        parse(f'type: "Embed" embed_param {{ {text} }}')


def test_no_window() -> None:
    assert parse('type: "Embed" embed_param { num_output: 1 input_dim: 1 }').reach((1, 1, 1, 1)) is None
