"""Scale: its parameters, and what folding makes of it."""

from __future__ import annotations

import numpy as np
from harness import check_forward, parse, tie_free


def test_bias_is_added_after_the_scale() -> None:
    layer = parse('type: "Scale" scale_param { bias_term: true }')
    x, scale, bias = (
        np.ones((1, 2, 1), np.float32),
        np.array([2, 3], np.float32),
        np.array([5, 7], np.float32),
    )
    (y,) = check_forward(layer, [x], [scale, bias])
    assert y.reshape(-1).tolist() == [7, 10]


def test_affine_is_what_the_layer_computes_along_its_channels() -> None:
    layer = parse('type: "Scale" scale_param { bias_term: true }')
    rng = np.random.default_rng(0)
    x, params = tie_free(rng, (2, 3, 4, 5)), [tie_free(rng, (3,)), tie_free(rng, (3,))]
    affine = layer.affine(params, 4, 1)
    assert affine is not None
    scale, shift = (np.reshape(a, (3, 1, 1)) for a in affine)
    np.testing.assert_allclose(
        scale * x + shift, layer.reference([np.asarray(x, np.float64)], params, []).tops[0]
    )
    assert layer.affine(params, 4, 2) is None


def test_a_scale_over_two_axes_or_from_a_bottom_is_no_affine_of_channels() -> None:
    assert parse('type: "Scale" scale_param { num_axes: 2 }').affine([np.ones((3, 4))], 4, 1) is None
    assert parse('type: "Scale"').affine([], 4, 1) is None
