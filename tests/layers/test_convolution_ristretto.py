"""Ristretto's products: rounded in TEST as their fields say, in TRAIN their weights at random."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from harness import check_forward, parse, run_gradient, tie_free

from vggrepro.caffe.messages import TRAIN
from vggrepro.errors import UnsupportedError
from vggrepro.layers.base import Layer
from vggrepro.net.load import load_net

FEW = "bw_layer_in: 6 fl_layer_in: 3 bw_layer_out: 7 fl_layer_out: 2 bw_params: 5 fl_params: 4"
FORMATS = [
    FEW,
    "precision: MINIFLOAT mant_bits: 3 exp_bits: 4",
    "precision: INTEGER_POWER_OF_2_WEIGHTS exp_min: -6 exp_max: 0 bw_layer_in: 6 fl_layer_in: 3"
    " bw_layer_out: 7 fl_layer_out: 2",
]


def convolution(kind: str, text: str, phase: int = 1) -> Layer:
    return parse(
        f'type: "{kind}" quantization_param {{ {text} }}'
        " convolution_param { num_output: 4 kernel_size: 3 stride: 2 pad: 1 group: 2 }",
        phase,
    )


def fixed(x: np.ndarray, bits: int, fraction: int) -> np.ndarray:
    """The fork's Trim2FixedPoint, in float64."""
    step = 2.0**-fraction
    x = np.clip(np.asarray(x, np.float64), -(2 ** (bits - 1)) * step, (2 ** (bits - 1) - 1) * step)
    return np.rint(x / step) * step


@pytest.mark.parametrize("text", FORMATS)
@pytest.mark.parametrize("kind", ["ConvolutionRistretto", "DeconvolutionRistretto"])
def test_convolutions_in_test(kind: str, text: str) -> None:
    rng = np.random.default_rng(0)
    layer = convolution(kind, text)
    x = tie_free(rng, (2, 4, 5, 6), -5, 5)
    params = [tie_free(rng, d.shape) for d in layer.param_defs([x.shape])]
    check_forward(layer, [x], params, dims=[(None, 4, None, None)])


def test_a_fully_connected_layer_by_its_formula() -> None:
    rng = np.random.default_rng(1)
    layer = parse(
        f'type: "FcRistretto" quantization_param {{ {FEW} }} inner_product_param {{ num_output: 3 }}'
    )
    x, weight, bias = tie_free(rng, (4, 7), -5, 5), tie_free(rng, (3, 7)), tie_free(rng, (3,))
    (y,) = check_forward(layer, [x], [weight, bias])
    wanted = fixed(fixed(x, 6, 3) @ fixed(weight, 5, 4).T + fixed(bias, 5, 4), 7, 2)
    np.testing.assert_array_equal(y, wanted)
    dy = tie_free(rng, (4, 3))
    dx, dw, db = run_gradient(layer, [x], [weight, bias], [dy])
    np.testing.assert_allclose(dx, dy @ fixed(weight, 5, 4), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(dw, dy.T @ fixed(x, 6, 3), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(db, dy.sum(0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("text", FORMATS)
def test_train_rounds_weights_at_random(text: str) -> None:
    rng = np.random.default_rng(2)
    layer = convolution("ConvolutionRistretto", text, TRAIN)
    x = tie_free(rng, (2, 4, 5, 6), -5, 5)
    weight, bias = (tie_free(rng, d.shape) for d in layer.param_defs([x.shape]))
    tops = []
    for state in ([3, 0], [4, 0], [3, 16]):
        tops.append(check_forward(layer, [x], [weight, bias], [np.array(state)])[0])
    assert not np.array_equal(tops[0], tops[1])
    np.testing.assert_array_equal(tops[0], tops[2])  # whichever part of a batch it is
    dy = tie_free(rng, tops[0].shape)
    _, dw, _ = run_gradient(layer, [x], [weight, bias], [dy], states=[np.array([3, 0])])
    plain = parse(
        'type: "Convolution" convolution_param { num_output: 4 kernel_size: 3 stride: 2 pad: 1 group: 2 }'
    )
    np.testing.assert_allclose(dw, run_gradient(plain, [x], [weight, bias], [dy])[1], rtol=1e-5, atol=1e-5)


def test_random_rounding_is_right_on_average() -> None:
    layer = parse(
        'type: "FcRistretto" quantization_param { bw_params: 8 fl_params: 1 }'
        " inner_product_param { num_output: 400 bias_term: false }",
        TRAIN,
    )
    weight = np.full((400, 1), 0.9, np.float32)
    (y,) = check_forward(layer, [np.ones((1, 1), np.float32)], [weight], [np.array([7, 0])])
    assert set(y.reshape(-1).tolist()) == {0.5, 1.0}
    assert y.mean() == pytest.approx(0.9, abs=0.03)


def test_other_layers_refuse_the_field(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(
        'input: "x" input_dim: 1 input_dim: 1 input_dim: 2 input_dim: 2'
        ' layer { name: "r" type: "ReLU" bottom: "x" top: "y" quantization_param { bw_params: 8 } }'
    )
    with pytest.raises(UnsupportedError, match="'r': quantization_param is implemented for ConvolutionRist"):
        load_net(path)


def test_fields_of_the_product_count() -> None:
    layer = convolution("ConvolutionRistretto", "")
    assert layer.out_shapes([(2, 4, 5, 6)]) == ((2, 4, 3, 3),)
    assert layer.macs([(2, 4, 5, 6)]) == 2 * 9 * 4 * 2 * 9
    assert layer.state_defs([(2, 4, 5, 6)]) == ()
