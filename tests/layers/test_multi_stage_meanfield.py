"""MultiStageMeanfield: against its reference, central differences and mean field by dense matrices."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse

from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Layer
from vggrepro.layers.rules.permutohedral import ReferenceLattice

THETAS = "theta_alpha: 5 theta_beta: 0.8 theta_gamma: 1.7"


def meanfield(text: str) -> Layer:
    return parse(f'type: "MultiStageMeanfield" multi_stage_meanfield_param {{ {text} }}')


def case(number: int, classes: int, height: int, width: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(number)
    bottoms = [rng.normal(size=(number, c, height, width)).astype(np.float32) for c in (classes, classes, 3)]
    params = [rng.normal(size=(1, 1, classes, classes)).astype(np.float32) for _ in range(3)]
    return bottoms, params


@pytest.mark.parametrize(("number", "classes", "iterations"), [(1, 3, 2), (2, 2, 4)])
def test_by_matrices(number: int, classes: int, iterations: int) -> None:
    """The filters are matrices, as filtering unit vectors shows."""
    layer = meanfield(f"num_iterations: {iterations} {THETAS}")
    bottoms, params = case(number, classes, 4, 5)
    (top,) = check_forward(layer, bottoms, params, rtol=1e-3, atol=1e-4)
    w0, w1, w2 = (p[0, 0].astype(float) for p in params)
    rows, columns = np.mgrid[:4, :5].astype(float)
    for n in range(number):
        u, q, image = (b[n].astype(float) for b in bottoms)
        x, y = columns.ravel(), rows.ravel()
        features = [np.stack([x, y], 1) / 1.7]
        features.append(np.stack([x / 5, y / 5, *(image / 0.8).reshape(3, -1)], 1))
        kernels = [ReferenceLattice(f).filter(np.eye(20)) for f in features]
        kernels = [k / k.sum(1, keepdims=True) for k in kernels]
        for _ in range(iterations):
            p = np.exp(q) / np.exp(q).sum(0)
            s, b = (np.einsum("ij,cj->ci", k, p.reshape(classes, -1)) for k in kernels)
            q = u - (w2 @ (w0 @ s + w1 @ b)).reshape(u.shape)
        np.testing.assert_allclose(top[n], q, rtol=1e-3, atol=1e-4)


def test_gradient() -> None:
    bottoms, params = case(2, 2, 3, 4)
    check_gradient(
        meanfield(f"num_iterations: 2 {THETAS}"), bottoms, [0.3 * p for p in params], rtol=1e-3, atol=1e-4
    )


def test_the_first_weights() -> None:
    shapes = [(1, 2, 3, 3), (1, 2, 3, 3), (1, 3, 3, 3)]
    text = 'spatial_filter_weights_str: "3 4" bilateral_filter_weight: 5'
    defs = meanfield(f"num_iterations: 10 {THETAS} {text}").param_defs(shapes)
    assert [d.filler for d in defs] == [(3, 0, 0, 4), (5, 0, 0, 5), (-1, 0, 0, -1)]
    assert {d.shape for d in defs} == {(1, 1, 2, 2)}
    assert meanfield(f"num_iterations: 10 {THETAS}").param_defs(shapes)[0].filler == (1, 0, 0, 1)


def test_refuses() -> None:
    with pytest.raises(UnsupportedError, match="only compatibility_mode: POTTS"):
        meanfield(f"num_iterations: 2 compatibility_mode: SEMI_METRIC {THETAS}")
    with pytest.raises(NetError, match="must be greater than 1"):
        meanfield(f"num_iterations: 1 {THETAS}")
    with pytest.raises(NetError, match="must be above 0"):
        meanfield("num_iterations: 2 theta_alpha: 3 theta_beta: 3")
    with pytest.raises(NetError, match="spatial_filter_weights_str: expected numbers"):
        meanfield(f'num_iterations: 2 {THETAS} spatial_filter_weights_str: "3, 4"')
    layer = meanfield(f'num_iterations: 2 {THETAS} spatial_filter_weights_str: "3 4"')
    with pytest.raises(ShapeError, match="images"):
        layer.out_shapes([(1, 2, 3, 3), (1, 2, 3, 3), (1, 3, 3, 4)])
    with pytest.raises(ShapeError, match="2 filter weights for 3 classes"):
        layer.out_shapes([(1, 3, 3, 3), (1, 3, 3, 3), (1, 3, 3, 3)])
