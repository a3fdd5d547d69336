from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient, tie_free
from hypothesis import given, settings
from hypothesis import strategies as st

from vggrepro.caffe.messages import TEST, TRAIN
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.batch_norm import BatchNorm, global_affine

some = settings(max_examples=50, deadline=None)
shapes = st.lists(st.integers(1, 5), min_size=2, max_size=5).map(tuple)


def layer_of(text: str = "", phase: int = TEST) -> BatchNorm:
    layer = parse(f'type: "BatchNorm" batch_norm_param {{ {text} }}', phase)
    assert isinstance(layer, BatchNorm)
    return layer


def blobs(channels: int, factor: float) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    mean = rng.standard_normal(channels).astype(np.float32)
    variance = rng.uniform(0.5, 2, channels).astype(np.float32)
    return [mean * np.float32(factor), variance * np.float32(factor), np.array([factor], np.float32)]


@some
@given(shapes, st.sampled_from([0.0, 0.3, 1.0, 999.98]), st.sampled_from([1e-5, 0.1]), st.booleans())
def test_global_statistics(shape: tuple[int, ...], factor: float, eps: float, free: bool) -> None:
    layer, params = layer_of(f"eps: {eps}"), blobs(shape[1], factor)
    x = tie_free(np.random.default_rng(0), shape, -2, 3)
    dims = [tuple(None if free and axis != 1 else size for axis, size in enumerate(shape))]
    check_forward(layer, [x], params, dims=dims)
    check_gradient(layer, [x], params, most=30)


@some
@given(shapes, st.sampled_from([0.9, 0.999]), st.sampled_from([1e-3, 0.1]), st.booleans())
def test_batch_statistics(shape: tuple[int, ...], fraction: float, eps: float, free: bool) -> None:
    layer = layer_of(f"moving_average_fraction: {fraction} eps: {eps}", TRAIN)
    x = tie_free(np.random.default_rng(0), shape, -2, 3)
    dims = [tuple(None if free and axis != 1 else size for axis, size in enumerate(shape))]
    check_forward(layer, [x], blobs(shape[1], 2.5), dims=dims, atol=2e-6)
    check_gradient(layer, [x], blobs(shape[1], 2.5), most=30, atol=2e-5 / eps)


def test_phase_chooses_the_statistics_unless_told() -> None:
    assert layer_of(phase=TEST).use_global_stats
    assert not layer_of(phase=TRAIN).use_global_stats
    assert layer_of("use_global_stats: true", TRAIN).use_global_stats
    assert not layer_of("use_global_stats: false", TEST).use_global_stats


def test_moving_averages() -> None:
    """Batch mean 2, variance 1 without bias 4/3; one element alone keeps its variance of 0."""
    layer = layer_of("moving_average_fraction: 0.5", TRAIN)
    params = [np.array([v], np.float32) for v in (4, 6, 8)]
    moved = layer.reference([np.array([[1.0], [3.0], [1.0], [3.0]])], params, []).next_params
    assert {i: v.item() for i, v in moved.items()} == pytest.approx({0: 2 + 2, 1: 3 + 4 / 3, 2: 4 + 1})
    moved = layer.reference([np.array([[7.0]])], params, []).next_params
    assert {i: v.item() for i, v in moved.items()} == pytest.approx({0: 2 + 7, 1: 3, 2: 5})


def test_statistics_get_no_gradient() -> None:
    x = tie_free(np.random.default_rng(0), (4, 2))
    for phase in (TRAIN, TEST):
        assert run_gradient(layer_of(phase=phase), [x], blobs(2, 1), [x])[1:] == [None] * 3


def test_affine_of_global_statistics() -> None:
    scale, shift = global_affine([np.array([6.0]), np.array([7.98]), np.array([2.0])], 0.01)
    assert (scale.item(), shift.item()) == pytest.approx((0.5, -1.5))
    scale, shift = global_affine([np.array([6.0]), np.array([7.98]), np.array([0.0])], 0.25)
    assert (scale.item(), shift.item()) == (2, 0)


def test_refusals() -> None:
    words = "layer 'l': .*Cannot configure batch normalization statistics as layer parameters."
    with pytest.raises(NetError, match=words):
        parse('type: "BatchNorm" param { lr_mult: 0 } param { decay_mult: 0 }')
    with pytest.raises(ShapeError, match="axis 1 out of range"):
        layer_of().out_shapes([(3,)])
