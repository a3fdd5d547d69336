"""Pooling3D by loops over all windows; gradients with ties by their own formula."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient, tie_free

from vggrepro.errors import NetError, ShapeError, UnsupportedError

Sizes = tuple[int, int, int]
CASES: list[tuple[str, Sizes, Sizes, Sizes]] = [  # method, kernel, stride, padding
    ("MAX", (2, 2, 2), (2, 2, 2), (0, 0, 0)),
    ("MAX", (1, 2, 2), (1, 2, 2), (0, 0, 0)),
    ("MAX", (3, 2, 2), (2, 3, 3), (0, 0, 0)),
    ("AVE", (2, 3, 3), (2, 2, 2), (0, 1, 1)),
    ("AVE", (2, 2, 2), (2, 2, 2), (0, 0, 0)),
]
FREE = [None, [(None, 2, None, None, None)]]


def text(method: str, kernel: Sizes, stride: Sizes, pad: Sizes) -> str:
    return (
        f"pool: {method} kernel_depth: {kernel[0]} kernel_size: {kernel[1]} temporal_stride: {stride[0]}"
        f" stride: {stride[1]} pad: {pad[1]}"
    )


def windows(shape: tuple[int, ...], kernel: Sizes, stride: Sizes, pad: Sizes):  # type: ignore[no-untyped-def]
    """For each window its index, the elements in it, and how many an average counts."""
    counts = [-(-(n + 2 * p - k) // s) + 1 for n, k, s, p in zip(shape[2:], kernel, stride, pad, strict=True)]
    for index in product(*map(range, counts)):
        starts = [i * s - p for i, s, p in zip(index, stride, pad, strict=True)]
        stops = [min(b + k, n + p) for b, k, n, p in zip(starts, kernel, shape[2:], pad, strict=True)]
        inside = (slice(max(b, 0), min(e, n)) for b, e, n in zip(starts, stops, shape[2:], strict=True))
        yield index, (..., *inside), np.prod([e - b for b, e in zip(starts, stops, strict=True)])


@pytest.mark.parametrize("dims", FREE)
@pytest.mark.parametrize("case", CASES)
def test_every_window(case: tuple[str, Sizes, Sizes, Sizes], dims: object) -> None:
    method, *sizes = case
    x = tie_free(np.random.default_rng(0), (2, 2, 5, 7, 4))
    (y,) = check_forward(parse(f'type: "Pooling3D" pooling_param {{ {text(*case)} }}'), [x], dims=dims)
    all_windows = list(windows(x.shape, *sizes))
    for index, inside, counted in all_windows:
        seen = x.astype(np.float64)[inside].reshape(2, 2, -1)
        wanted = seen.max(2) if method == "MAX" else seen.sum(2) / counted
        np.testing.assert_allclose(y[(..., *index)], wanted, rtol=1e-5, atol=1e-6)
    assert y[0, 0].size == len(all_windows)


@pytest.mark.parametrize("case", CASES)
def test_gradients(case: tuple[str, Sizes, Sizes, Sizes]) -> None:
    layer = parse(f'type: "Pooling3D" pooling3d_param {{ {text(*case)} }}')
    check_gradient(layer, [tie_free(np.random.default_rng(1), (2, 2, 5, 7, 4))])


def test_every_maximum_of_a_window_gets_all_of_the_gradient() -> None:
    rng = np.random.default_rng(2)
    kernel, stride, pad = (2, 3, 3), (1, 2, 2), (0, 0, 0)
    layer = parse(f'type: "Pooling3D" pooling_param {{ {text("MAX", kernel, stride, pad)} }}')
    x = rng.integers(0, 3, (2, 1, 4, 5, 6)).astype(np.float32)
    (y,) = check_forward(layer, [x])
    dy = rng.integers(-9, 9, y.shape).astype(np.float32)
    wanted = np.zeros(x.shape)
    for index, inside, _ in windows(x.shape, kernel, stride, pad):
        best, slope = (t[(..., *index)].reshape(2, 1, 1, 1, 1) for t in (y, dy))
        wanted[inside] += (x[inside] == best) * slope
    np.testing.assert_array_equal(run_gradient(layer, [x], (), [dy])[0], wanted)


def test_a_window_behind_the_end() -> None:
    """Caffe's maximum of nothing is -FLT_MAX; its average would divide by 0."""
    fields = "kernel_depth: 1 kernel_size: 1 temporal_stride: 3"
    x = np.ones((1, 1, 3, 1, 1), np.float32)
    (y,) = check_forward(parse(f'type: "Pooling3D" pooling_param {{ {fields} }}'), [x])
    np.testing.assert_array_equal(y.ravel(), [1, np.finfo(np.float32).min])
    with pytest.raises(ShapeError, match="lies behind the end"):
        parse(f'type: "Pooling3D" pooling_param {{ {fields} pool: AVE }}').out_shapes([x.shape])


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ("pool: STOCHASTIC", UnsupportedError, "STOCHASTIC is not implemented"),
        ("pad: 1", NetError, "Padding implemented only for average pooling"),
        ("pool: AVE pad: 2", NetError, "pad must be less than kernel_size, got 2 and 2"),
        ("stride: 0", NetError, "must be positive"),
        ("global_pooling: true", UnsupportedError, "Pooling3D does not read global_pooling"),
    ],
)
def test_pooling3d_refuses(fields: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        parse(f'type: "Pooling3D" pooling_param {{ kernel_size: 2 kernel_depth: 2 {fields} }}')


def test_pooling_over_time_alone_is_refused_elsewhere() -> None:
    with pytest.raises(UnsupportedError, match="kernel_depth is for"):
        parse('type: "Pooling" pooling_param { kernel_size: 2 kernel_depth: 2 }')
    with pytest.raises(ShapeError, match="no window of"):
        parse('type: "Pooling3D" pooling_param { kernel_size: 4 kernel_depth: 1 }').out_shapes(
            [(1, 1, 2, 2, 2)]
        )
