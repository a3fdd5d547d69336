"""CenterLoss: against its reference, central differences, and the layer's own gradient of its centres."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

from vggrepro.errors import GradientError, NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Layer, Needed


def center_loss(text: str = "num_output: 4") -> Layer:
    return parse(f'type: "CenterLoss" center_loss_param {{ {text} }}')


@few
@given(shapes(least=2), st.integers(1, 5), st.integers(0, 2), st.floats(0.1, 3), seeds, st.data())
def test_center_loss(
    shape: tuple[int, ...], classes: int, ones: int, weight: float, seed: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    x, centres = values(seed, shape), values(seed + 1, (classes, int(np.prod(shape[1:]))))
    labels = rng.integers(0, classes, (shape[0], *[1] * ones)).astype(np.float32)
    layer = center_loss(f"num_output: {classes}")
    dims = [(data.draw(freed(shape[:1]))[0], *shape[1:]), labels.shape]
    (loss,) = check_forward(layer, [x, labels], [centres], dims=dims)
    rows, names = x.astype(float).reshape(len(x), -1), labels.reshape(-1).astype(int)
    expected = sum(((row - centres[name]) ** 2).sum() for row, name in zip(rows, names, strict=True))
    assert loss == pytest.approx(expected / 2 / len(x), rel=1e-5)
    check_gradient(layer, [x, labels], [centres], needed=Needed((True, False), (False,)))
    found = run_gradient(layer, [x, labels], [centres], [np.float32(weight)])
    for name, got in enumerate(found[2]):
        own = rows[names == name]
        slope = (centres[name] - own).sum(0) / (1 + len(own))
        np.testing.assert_allclose(got, slope, rtol=1e-4, atol=1e-5)


def test_refuses() -> None:
    with pytest.raises(NetError, match="must be > 0"):
        center_loss("")
    with pytest.raises(UnsupportedError, match="axis 2, only 1"):
        center_loss("num_output: 3 axis: 2")
    layer = center_loss()
    assert [d.shape for d in layer.param_defs([(2, 3, 5), (2,)])] == [(4, 15)]
    allowed = layer.allowed_labels([(2, 3), (2,)])
    assert allowed is not None
    assert (allowed.bottom, allowed.classes) == (1, 4)
    with pytest.raises(ShapeError, match="one label for each input"):
        layer.out_shapes([(2, 3), (3,)])
    bottoms = [values(1, (2, 3)), np.zeros(2, np.float32)]
    with pytest.raises(GradientError, match="cannot backpropagate to label"):
        run_gradient(
            layer, bottoms, [values(2, (4, 3))], [np.float32(1)], needed=Needed((True, True), (True,))
        )
