"""InnerProduct with normalize: against its reference and the fork's gradients."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

from vggrepro.caffe.messages import TEST, TRAIN
from vggrepro.errors import NetError, UnsupportedError
from vggrepro.layers.base import Layer


def product(text: str, phase: int = TEST) -> Layer:
    return parse(f'type: "InnerProduct" inner_product_param {{ normalize: true {text} }}', phase)


@few
@given(shapes(least=2), st.integers(1, 4), st.booleans(), st.sampled_from([TRAIN, TEST]), seeds, st.data())
def test_by_formula(
    shape: tuple[int, ...], outputs: int, bias: bool, phase: int, seed: int, data: st.DataObject
) -> None:
    layer = product(f"num_output: {outputs} bias_term: {str(bias).lower()}", phase)
    x, w = values(seed, shape), values(seed + 1, (outputs, int(np.prod(shape[1:]))), -2, 2)
    params = [w, values(seed + 2, (outputs,))][: 1 + bias]
    (top,) = check_forward(layer, [x], params, dims=[(data.draw(freed(shape[:1]))[0], *shape[1:])])
    rows, unit = (
        x.astype(float).reshape(len(x), -1),
        w / np.sqrt((w.astype(float) ** 2).sum(1)[:, None] + 1e-6),
    )
    np.testing.assert_allclose(top, rows @ unit.T + (params[1] if bias else 0), rtol=1e-4, atol=1e-5)
    dy = values(seed + 3, top.shape)
    found = run_gradient(layer, [x], params, [dy])
    np.testing.assert_allclose(found[0], (dy @ unit).reshape(shape), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[1], dy.T @ rows, rtol=1e-4, atol=1e-5)
    if bias:
        np.testing.assert_allclose(found[2], dy.sum(0), rtol=1e-4, atol=1e-5)
    moved = layer.reference([x], [p.astype(float) for p in params], ()).next_params
    assert list(moved) == [0] * (phase == TRAIN)
    assert [d.moved for d in layer.param_defs([shape])][:1] == [phase == TRAIN]


def test_refuses() -> None:
    for text in ("num_output: 2 axis: 2", "num_output: 2 transpose: true"):
        with pytest.raises(UnsupportedError, match="normalize is implemented for axis: 1"):
            product(text)
    with pytest.raises(NetError, match="must be > 0"):
        product("")
