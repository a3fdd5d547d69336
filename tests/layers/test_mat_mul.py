"""MatMul: against its reference, products matrix by matrix, and central differences."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from shape_cases import few, freed, seeds, values

from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.mat_mul import MatMul

sizes = st.integers(1, 4)


def layer_of(fields: str = "") -> MatMul:
    layer = parse(f'type: "MatMul" matmul_param {{ {fields} }}')
    assert isinstance(layer, MatMul)
    return layer


def turned(x: np.ndarray, turn: bool) -> np.ndarray:
    return x.swapaxes(-1, -2) if turn else x


@few
@given(
    st.lists(sizes, max_size=2).map(tuple),
    st.tuples(sizes, sizes, sizes),
    st.tuples(st.booleans(), st.booleans()),
    st.booleans(),
    seeds,
    st.data(),
)
def test_own_matrices(
    lead: tuple[int, ...],
    area: tuple[int, int, int],
    turns: tuple[bool, bool],
    learned: bool,
    seed: int,
    data: st.DataObject,
) -> None:
    m, k, n = area
    a, b = values(seed, (*lead, m, k)), values(seed + 1, (*lead, k, n))
    upright = np.stack([x @ y for x, y in zip(a.reshape(-1, m, k), b.reshape(-1, k, n), strict=True)])
    a, b = (np.ascontiguousarray(turned(x, turn)) for x, turn in zip((a, b), turns, strict=True))
    text = f"transpose_a: {int(turns[0])} transpose_b: {int(turns[1])} last_axes: true"
    if learned:
        layer = layer_of(text + "".join(f" blob_shape: {size}" for size in b.shape))
        assert [d.shape for d in layer.param_defs([a.shape])] == [b.shape]
        (top,) = check_forward(layer, [a], [b], dims=[data.draw(freed(a.shape))])
        check_gradient(layer, [a], [b])
    else:
        layer = layer_of(text)
        (top,) = check_forward(layer, [a, b], dims=[data.draw(freed(x.shape)) for x in (a, b)])
        check_gradient(layer, [a, b])
    assert_allclose(top, upright.reshape(*lead, m, n), rtol=1e-5, atol=1e-6)
    assert layer.macs([a.shape] if learned else [a.shape, b.shape]) == upright.size * k


@few
@given(
    st.lists(sizes, min_size=1, max_size=2).map(tuple), st.tuples(sizes, sizes, sizes), st.booleans(), seeds
)
def test_one_matrix_for_all(
    lead: tuple[int, ...], area: tuple[int, int, int], learned: bool, seed: int
) -> None:
    m, k, n = area
    a, b = values(seed, (*lead, m, k)), values(seed + 1, (k, n))
    layer = layer_of(f"blob_shape: {k} blob_shape: {n}" if learned else "")
    arrays = ([a], [b]) if learned else ([a, b], [])
    (top,) = check_forward(layer, *arrays)
    assert_allclose(top.reshape(-1, n), a.reshape(-1, k) @ b, rtol=1e-5, atol=1e-6)
    check_gradient(layer, *arrays)


def test_forks_differ_on_four_axes() -> None:
    shapes = [(2, 3, 4, 5), (2, 3, 5, 6)]
    with pytest.raises(UnsupportedError, match="with 4 axes: forks differ; --fork synopsys"):
        layer_of().out_shapes(shapes)
    assert layer_of("last_axes: true").out_shapes(shapes) == ((2, 3, 4, 6),)


def test_refusals() -> None:
    with pytest.raises(NetError, match="of positive sizes"):
        layer_of("blob_shape: 0")
    with pytest.raises(NetError, match="one bottom needs a blob_shape"):
        layer_of().out_shapes([(2, 3)])
    with pytest.raises(ShapeError, match="incompatible shapes"):
        layer_of().out_shapes([(2, 3), (2, 3)])
    for shapes in ([(2, 3, 4), (3, 4, 5)], [(3,), (3,)], [(2, 3), (2, 3, 4)]):
        with pytest.raises(ShapeError, match="same shape except in last two"):
            layer_of().out_shapes(shapes)
    with pytest.raises(UnsupportedError, match=r"transpose_b of \(2, 3, 4\) with one matrix \(4, 5\)"):
        layer_of("transpose_b: true").out_shapes([(2, 3, 4), (4, 5)])
