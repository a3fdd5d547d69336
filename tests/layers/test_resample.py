"""Resample: against FlowNet's rule place by place, and OpenCV's importer where it has the layer."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from harness import check_forward, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds, values

from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import Layer


def resample(text: str, bottoms: int = 1) -> Layer:
    names = 'bottom: "x" ' * bottoms
    return parse(f'type: "Resample" {names} resample_param {{ {text} }}')


def triangle(x: float) -> float:
    return max(0.0, 1 - abs(x))


def cubic(x: float) -> float:
    x = abs(x)
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def half_away(x: float) -> int:
    return int(math.copysign(math.floor(abs(x) + 0.5), x))


def by_hand(plane: np.ndarray, size: tuple[int, int], kind: str, antialias: bool) -> np.ndarray:
    """A place at a time: FlowNet's window, weights, and their sum; NaN where rounding decides."""
    fy, fx = (inner / outer for inner, outer in zip(plane.shape, size, strict=True))
    kernel, width = (cubic, 4) if kind == "CUBIC" else (triangle, 2)
    wide = antialias and (fx > 1 or fy > 1)
    ax, ay = (1 / fx, 1 / fy) if wide else (1.0, 1.0)
    rx, ry = (2 if f < 1 else math.ceil(width / a) for f, a in ((fx, ax), (fy, ay)))
    top = np.zeros(size)
    for row in range(size[0]):
        for column in range(size[1]):
            x, y = column * fx + fy / 2 - 0.5, row * fy + fx / 2 - 0.5
            total = weight = 0.0
            for j in range(half_away(y) - ry, half_away(y) + ry + 1):
                for i in range(half_away(x) - rx, half_away(x) + rx + 1):
                    if 0 <= j < plane.shape[0] and 0 <= i < plane.shape[1]:
                        w = kernel(ax * (x - i)) * kernel(ay * (y - j))
                        total += w * plane[j, i]
                        weight += w
            top[row, column] = total / weight if abs(weight) > 1e-4 else np.nan
    return top


@few
@given(
    st.sampled_from(["LINEAR", "CUBIC"]),
    st.booleans(),
    st.tuples(*[st.integers(1, 8)] * 4),
    st.booleans(),
    seeds,
)
def test_weights_around_a_place(
    kind: str, antialias: bool, sizes: tuple[int, ...], second: bool, seed: int
) -> None:
    inner, outer = sizes[:2], sizes[2:]
    x = values(seed, (2, 1, *inner))
    text = f"type: {kind} antialias: {str(antialias).lower()}"
    if second:
        layer, bottoms = resample(text, 2), [x, values(seed, (1, 3, *outer))]
        dims = [(None, None, *inner), (None, None, *outer)]
    else:
        layer, bottoms = resample(f"{text} height: {outer[0]} width: {outer[1]}"), [x]
        dims = [(None, None, *inner)]
    (top,) = check_forward(layer, bottoms, dims=dims)
    for plane, wanted in zip(top[:, 0], x[:, 0], strict=True):
        right = by_hand(np.asarray(wanted, np.float64), outer, kind, antialias)
        clear = ~np.isnan(right)
        np.testing.assert_allclose(plane[clear], right[clear], atol=1e-3)


def test_nearest() -> None:
    x = np.arange(6, dtype=np.float32).reshape(1, 1, 1, 6)
    for size, picked in {12: [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5], 2: [1, 4], 3: [1, 3, 5]}.items():
        wide = x.repeat(6, 2)  # the same factor in both directions
        (top,) = check_forward(resample(f"type: NEAREST height: {size} width: {size}"), [wide])
        assert top[0, 0, 0].tolist() == picked
    (top,) = check_forward(resample("type: NEAREST factor: 2"), [x])
    assert top[0, 0].tolist() == [[0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]] * 2


@pytest.mark.skipif(cv2.__version__ >= "5", reason="OpenCV 5 reads no Caffe models")
@pytest.mark.parametrize("text", ["factor: 2", "factor: 3", "height: 8 width: 12", "height: 20 width: 30"])
def test_nearest_as_in_opencv(text: str, tmp_path: Path) -> None:
    text = f"type: NEAREST {text}"
    path = tmp_path / "net.prototxt"
    path.write_text(
        'input: "x" input_shape { dim: 2 dim: 3 dim: 4 dim: 6 }'
        f'layer {{ name: "r" type: "Resample" bottom: "x" top: "r" resample_param {{ {text} }} }}'
    )
    net = cv2.dnn.readNetFromCaffe(str(path))
    x = values(0, (2, 3, 4, 6))
    net.setInput(x)
    (top,) = check_forward(resample(text), [x])
    np.testing.assert_array_equal(top, net.forward())


def test_resample_refuses() -> None:
    for text, error, message in [
        ("type: AREA height: 2 width: 2", NetError, "only CUBIC, LINEAR and NEAREST"),
        ("factor: 2", UnsupportedError, "factor 2 with LINEAR"),
        ("type: NEAREST factor: 0.5", UnsupportedError, "factor 0.5 with NEAREST"),
        ("", NetError, "top_height > 0"),
        ("height: 3", NetError, "top_height > 0"),
    ]:
        with pytest.raises(error, match=f"layer 'l': .*{message}"):
            resample(text)
    with pytest.raises(ShapeError, match=r"bottom\[0\] must be \(N, C, H, W\)"):
        resample("height: 2 width: 2").out_shapes([(2, 3, 4)])
