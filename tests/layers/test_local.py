"""Local: against its reference, window by window, and central differences."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds, values

from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Layer


def local(text: str) -> Layer:
    return parse(f'type: "Local" local_param {{ {text} }}')


@few
@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 2), st.booleans(), seeds)
def test_window_by_window(kernel: int, stride: int, pad: int, bias: bool, seed: int) -> None:
    layer = local(
        f"num_output: 3 kernel_size: {kernel} stride: {stride} pad: {pad} bias_term: {str(bias).lower()}"
    )
    x = values(seed, (2, 2, 4, 5))
    definitions = layer.param_defs([x.shape])
    params = [values(seed + i, definition.shape) for i, definition in enumerate(definitions)]
    (top,) = check_forward(layer, [x], params)
    _, outputs, height, width = top.shape
    assert params[0].shape == (3, 1, 2 * kernel**2, height * width)
    padded = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)]).astype(float)
    for n, m, i, j in np.ndindex(2, outputs, height, width):
        window = padded[n, :, i * stride :, j * stride :][:, :kernel, :kernel].ravel()
        expected = window @ params[0][m, 0, :, i * width + j]
        if bias:
            assert params[1].shape == (1, 1, 3, height * width)
            expected += params[1][0, 0, m, i * width + j]
        assert top[n, m, i, j] == pytest.approx(expected, rel=1e-4, abs=1e-5)
    check_gradient(layer, [x], params)


def test_fillers_and_refusals() -> None:
    text = 'num_output: 2 kernel_size: 3 weight_filler { type: "gaussian" std: 0.1 } bias_filler { value: 1 }'
    weights, biases = local(text).param_defs([(1, 2, 4, 5)])
    assert (weights.filler.type, biases.filler.value) == ("gaussian", 1)
    with pytest.raises(NetError, match="above 0, got 0, 3 and 1"):
        local("kernel_size: 3")
    with pytest.raises(ShapeError, match="at least 3, got shape"):
        local(text).out_shapes([(1, 2, 2, 5)])
