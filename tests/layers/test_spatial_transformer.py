"""SpatialTransformer: against its reference, the fork's loops and central differences."""

from __future__ import annotations

from math import floor

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import assume, given
from hypothesis import strategies as st
from shape_cases import few, seeds, values

from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Layer


def transformer(text: str = "", du: bool = True) -> Layer:
    return parse(f'type: "SpatialTransformer" st_param {{ to_compute_dU: {str(du).lower()} {text} }}')


def places(theta: np.ndarray, rows: int, columns: int, size: tuple[int, ...]) -> np.ndarray:
    """Where in the image each place of the top looks: (n, rows, columns, 2)."""
    grid = [[(s / rows * 2 - 1, t / columns * 2 - 1, 1) for t in range(columns)] for s in range(rows)]
    return (np.einsum("nij,stj->nsti", theta.reshape(-1, 2, 3), np.array(grid)) + 1) / 2 * size


def loops(
    u: np.ndarray, theta: np.ndarray, rows: int, columns: int, dv: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The top, and the gradients of image and maps."""
    n, c, height, width = u.shape
    v, du, dtheta = np.zeros((n, c, rows, columns)), np.zeros(u.shape), np.zeros((n, 6))
    looked = places(theta, rows, columns, (height, width))
    for k, s, t in np.ndindex(n, rows, columns):
        grid = np.array([s / rows * 2 - 1, t / columns * 2 - 1, 1])
        x, y = looked[k, s, t].tolist()
        dpx = dpy = 0.0
        for m in (floor(x), floor(x) + 1):
            for j in (floor(y), floor(y) + 1):
                if not (0 <= m < height and 0 <= j < width):
                    continue
                wx, wy = max(0, 1 - abs(x - m)), max(0, 1 - abs(y - j))
                v[k, :, s, t] += wx * wy * u[k, :, m, j]
                du[k, :, m, j] += wx * wy * dv[k, :, s, t]
                own = float((u[k, :, m, j] * dv[k, :, s, t]).sum())
                if abs(x - m) < 1:
                    dpx += (1 if m >= x else -1) * wy * own * height / 2
                if abs(y - j) < 1:
                    dpy += (1 if j >= y else -1) * wx * own * width / 2
        dtheta[k] += np.concatenate([dpx * grid, dpy * grid])
    return v, du, dtheta


@few
@given(st.integers(1, 2), st.integers(1, 2), st.integers(1, 4), st.integers(1, 4), st.booleans(), seeds)
def test_by_loops(number: int, channels: int, height: int, width: int, sized: bool, seed: int) -> None:
    u, theta = values(seed, (number, channels, height, width)), values(seed + 1, (number, 6), -1.4, 1.4)
    layer = transformer("output_H: 3 output_W: 2" if sized else "")
    (top,) = check_forward(layer, [u, theta], atol=1e-5)
    looked = places(theta.astype(float), *top.shape[2:], (height, width))
    assume(np.abs(looked - np.round(looked)).min() > 1e-3)  # where rounding decides, slopes differ
    dv = values(seed + 2, top.shape)
    d_u, d_theta = run_gradient(layer, [u, theta], [], [dv])
    expected = loops(u.astype(float), theta.astype(float), *top.shape[2:], dv.astype(float))
    np.testing.assert_allclose(top, expected[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(d_u, expected[1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(d_theta, expected[2], rtol=1e-3, atol=1e-4)


def test_the_identity_where_every_place_is_whole() -> None:
    u, theta = values(1, (1, 2, 4, 2)), np.float32([[1, 0, 0, 0, 1, 0]])
    dv = values(2, u.shape)
    np.testing.assert_array_equal(check_forward(transformer(), [u, theta])[0], u)
    d_u, d_theta = run_gradient(transformer(), [u, theta], [], [dv])
    np.testing.assert_array_equal(d_u, dv)
    np.testing.assert_allclose(d_theta, loops(u, theta, 4, 2, dv)[2], rtol=1e-4, atol=1e-5)


def test_numbers_that_are_given() -> None:
    text = "theta_1_1: 0.5 theta_1_2: 0 theta_2_1: 0.1 theta_2_2: 0.5"
    u, shift = values(1, (2, 1, 4, 5)), np.float32([[0.13, -0.21], [0.31, 0.17]])
    full = np.stack([[0.5, 0, a, 0.1, 0.5, b] for a, b in shift]).astype(np.float32)
    (top,) = check_forward(transformer(text), [u, shift], atol=1e-5)
    np.testing.assert_allclose(top, check_forward(transformer(), [u, full], atol=1e-5)[0], atol=1e-5)
    check_gradient(transformer(text), [u, shift], rtol=1e-3)
    assert run_gradient(transformer(text, du=False), [u, shift], [], [top])[0] is None
    everything = transformer("theta_1_3: 0 theta_2_3: 0 " + text)
    check_gradient(everything, [u, np.zeros((2, 0), np.float32)])


def test_refuses() -> None:
    with pytest.raises(UnsupportedError, match=r"layer 'l': .*name the fork: daerduocarey"):
        parse('type: "SpatialTransformer"')
    with pytest.raises(UnsupportedError, match="only transform_type 'affine'"):
        transformer('transform_type: "Dense"')
    with pytest.raises(NetError, match="must be above 0"):
        transformer("output_H: 0")
    with pytest.raises(ShapeError, match=r"theta \(2, 5\)"):
        transformer("theta_1_1: 1").out_shapes([(2, 3, 4, 4), (2, 6)])
