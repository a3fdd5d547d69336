"""NVCaffe's BatchNorm with scale_bias: against its reference, and formulas of the test's own."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient, tie_free
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, values

from vggrepro.caffe.messages import TEST, TRAIN
from vggrepro.errors import ShapeError, UnsupportedError
from vggrepro.layers.base import Layer
from vggrepro.layers.batch_norm import BatchNorm
from vggrepro.layers.scaled_batch_norm import ScaledBatchNorm

SHAPE = (3, 5, 2, 7)


def batch_norm(text: str = "scale_bias: true", phase: int = TEST) -> Layer:
    return parse(f'type: "BatchNorm" batch_norm_param {{ {text} }}', phase)


def blobs(seed: int, channels: int) -> list[np.ndarray]:
    """Means, positive variances, the factor, scale and shift."""
    rng = np.random.default_rng(seed)
    made = [rng.uniform(0.5, 1.5, channels) for _ in range(4)]
    return [b.astype(np.float32) for b in (made[0] - 1, made[1], np.ones(1), made[2], made[3] - 1)]


@few
@given(st.lists(st.integers(2, 5), min_size=2, max_size=5).map(tuple), st.integers(0, 2), seeds, st.data())
def test_both_phases(shape: tuple[int, ...], passes: int, seed: int, data: st.DataObject) -> None:
    x = values(seed, shape, -2, 2)
    dims = [data.draw(freed(shape, but=(1,)))]
    for phase, states in ((TEST, []), (TRAIN, [np.array(passes, np.int64)])):
        layer = batch_norm("scale_bias: true moving_average_fraction: 0.75 eps: 0.01", phase)
        check_forward(layer, [x], blobs(seed, shape[1]), states, dims=dims, rtol=1e-4, atol=2e-5)


def test_by_formula() -> None:
    x = values(0, SHAPE)
    mean, variance, factor, scale, shift = params = blobs(1, 5)
    params[2] = 7 * factor  # which is not used
    mean, variance, scale, shift = (p.reshape(1, 5, 1, 1) for p in (mean, variance, scale, shift))
    (y,) = check_forward(batch_norm(), [x], params)
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(variance + 1e-5) * scale + shift, rtol=1e-4, atol=1e-6)
    layer = batch_norm("scale_bias: true moving_average_fraction: 0.9", TRAIN)
    batch = x.astype(float).mean((0, 2, 3)), x.astype(float).var((0, 2, 3), ddof=1)
    for passes, kept in ((0, 0), (1, 0.9), (5, 0.9)):
        found = layer.reference([x.astype(float)], params, [np.array(passes)])
        for index in (0, 1):
            expected = kept * params[index] + (1 - kept) * batch[index]
            np.testing.assert_allclose(found.next_params[index], expected, rtol=1e-6)
        assert found.next_states[0] == passes + 1


FOUR = 'type: "BatchNorm" param {} param {} param {} param {} batch_norm_param { scale_filler { value: 1 } }'


@few
@given(st.lists(st.integers(2, 5), min_size=2, max_size=5).map(tuple), seeds, st.data())
def test_xilinxs_order_of_blobs(shape: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    x, column = values(seed, shape, -2, 2), (1, -1, *[1] * (len(shape) - 2))
    mean, variance, _, scale, shift = blobs(seed, shape[1])
    four = [scale, shift, mean, variance]
    for layer in (parse(FOUR), batch_norm("scale_first: true")):
        assert [d.statistic for d in layer.param_defs([shape])] == [False, False, True, True]
        (y,) = check_forward(layer, [x], four, dims=[data.draw(freed(shape, but=(1,)))], rtol=1e-4, atol=2e-5)
        scale, shift, mean, variance = (b.astype(float).reshape(column) for b in four)
        np.testing.assert_allclose(
            y, (x - mean) / np.sqrt(variance + 1e-5) * scale + shift, rtol=1e-4, atol=1e-5
        )
        factor, summand = layer.affine(four, x.ndim, 1)
        np.testing.assert_allclose(
            y, x * factor.reshape(column) + summand.reshape(column), rtol=1e-4, atol=1e-5
        )


def test_xilinxs_gradients() -> None:
    """Those of NVCaffe's layer, in the other order; in TEST both take the statistics for the batch's."""
    x, dy = values(0, SHAPE), values(1, SHAPE)
    mean, variance, factor, scale, shift = blobs(1, 5)
    dx, d_scale, d_shift, *nothing = run_gradient(parse(FOUR), [x], [scale, shift, mean, variance], [dy])
    nvcaffe = run_gradient(batch_norm(), [x], [mean, variance, factor, scale, shift], [dy])
    for found, wanted in ((dx, nvcaffe[0]), (d_scale, nvcaffe[4]), (d_shift, nvcaffe[5])):
        np.testing.assert_array_equal(found, wanted)
    assert nothing == [None, None]


def test_xilinxs_training_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="implemented in TEST alone"):
        parse(FOUR, TRAIN)


@pytest.mark.parametrize("shape", [SHAPE, (4, 3), (3, 2, 2, 2, 2)])
def test_gradients(shape: tuple[int, ...]) -> None:
    x = tie_free(np.random.default_rng(3), shape)
    states = [np.array(1, np.int64)]
    check_gradient(batch_norm(phase=TRAIN), [x], blobs(1, shape[1]), states, rtol=1e-3, atol=1e-4)


def test_backward_takes_the_blobs_for_the_batchs_statistics() -> None:
    x, dy = values(0, SHAPE), values(5, SHAPE)
    params = blobs(1, 5)
    dx, *_, d_scale, d_shift = run_gradient(batch_norm(), [x], params, [dy])
    mean, variance, _, scale, _ = (p.reshape(1, -1, 1, 1) for p in params)
    deviation = np.sqrt(variance + 1e-5)
    unit, d = (x - mean) / deviation, dy * scale
    over = {"axis": (0, 2, 3), "keepdims": True}
    expected = (d - d.mean(**over) - unit * (d * unit).mean(**over)) / deviation
    np.testing.assert_allclose(dx, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(d_scale, (dy * unit).sum((0, 2, 3)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(d_shift, dy.sum((0, 2, 3)), rtol=1e-4, atol=1e-5)


def test_which_fields_ask_for_it() -> None:
    for text in ("scale_bias: true", "scale_filler { value: 2 }", "bias_filler { value: 1 }"):
        assert isinstance(batch_norm(text), ScaledBatchNorm)
    for text in ("", "scale_bias: false", "engine: CUDNN"):
        assert isinstance(batch_norm(text), BatchNorm)
    learned = batch_norm("bias_filler { value: 3 } eps: 1e-9")
    assert learned.eps == pytest.approx(1e-5)
    assert [d.statistic for d in learned.param_defs([SHAPE])] == [True, True, True, False, False]
    assert [d.filler.value for d in learned.param_defs([SHAPE])] == [0, 0, 1, 1, 3]
    assert learned.state_defs([SHAPE]) == ()


def test_refuses_a_bottom_without_channels() -> None:
    with pytest.raises(ShapeError, match="has no channels"):
        batch_norm().out_shapes([(3,)])


def test_affine_is_what_folding_needs() -> None:
    x, params = values(0, SHAPE), blobs(1, 5)
    scale, shift = batch_norm().affine(params, 4, 1)
    (top,) = batch_norm().reference([x.astype(float)], params, []).tops
    found = x * scale.reshape(1, 5, 1, 1) + shift.reshape(1, 5, 1, 1)
    np.testing.assert_allclose(found, top, rtol=1e-4, atol=1e-6)
    assert batch_norm().affine(params, 4, 2) is None
    assert batch_norm(phase=TRAIN).affine(params, 4, 1) is None
