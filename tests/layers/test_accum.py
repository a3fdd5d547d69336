"""Accum: against its reference, FlowNet's formula place by place, and central differences."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds, values

from vggrepro.errors import NetError, ShapeError

SIZES = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 6)), min_size=1, max_size=3)


def slowly(x: np.ndarray, height: int, width: int) -> np.ndarray:
    """Each place of a bottom brought to another size, from the four places around it."""
    top = np.zeros((*x.shape[:2], height, width))
    for h, w in np.ndindex(height, width):
        at = []
        for place, size, inner in ((h, height, x.shape[2]), (w, width, x.shape[3])):
            position = place / (size - 1) * (inner - 1) if size > 1 else 0.0
            low = min(int(position), inner - 1)
            at.append((low, min(low + 1, inner - 1), position - low))
        (up, down, v), (left, right, u) = at
        top[:, :, h, w] = (1 - v) * ((1 - u) * x[:, :, up, left] + u * x[:, :, up, right]) + v * (
            (1 - u) * x[:, :, down, left] + u * x[:, :, down, right]
        )
    return top


def bottoms_text(number: int) -> str:
    return 'type: "Accum"' + "".join(f' bottom: "b{i}"' for i in range(number))


@few
@given(SIZES, seeds)
def test_largest_bottom(sizes: list[tuple[int, int, int]], seed: int) -> None:
    arrays = [values(seed + i, (2, *size)) for i, size in enumerate(sizes)]
    layer = parse(bottoms_text(len(arrays)))
    dims = [(None, *a.shape[1:]) for a in arrays]
    (top,) = check_forward(layer, arrays, dims=dims, rtol=1e-4, atol=1e-5)
    height, width = (max(size[axis] for size in sizes) for axis in (1, 2))
    expected = np.concatenate([slowly(a, height, width) for a in arrays], axis=1)
    np.testing.assert_allclose(top, expected, rtol=1e-4, atol=1e-5)
    check_gradient(layer, arrays)


@pytest.mark.parametrize(
    "field, size",
    [
        ("top_height: 7 top_width: 9", (7, 9)),
        ("top_height: 7 top_width: 6", (4, 6)),  # not larger in both
        ("size_divisible_by: 8", (8, 8)),
        ("size_divisible_by: 4", (4, 6)),  # the height is a multiple already
        ("size_divisible_by: 8 top_height: 20 top_width: 20", (8, 8)),
    ],
)
def test_sizes_that_are_given(field: str, size: tuple[int, int]) -> None:
    layer = parse(bottoms_text(2) + f" accum_param {{ {field} }}")
    arrays = [values(0, (1, 2, 4, 3)), values(1, (1, 1, 2, 6))]
    (top,) = check_forward(layer, arrays, rtol=1e-4, atol=1e-5)
    assert top.shape == (1, 3, *size)
    np.testing.assert_allclose(top[:, :2], slowly(arrays[0], *size), rtol=1e-4, atol=1e-5)


def test_a_reference_tells_the_size_alone() -> None:
    layer = parse(bottoms_text(2) + " accum_param { have_reference: true }")
    arrays = [values(0, (1, 2, 5, 4)), values(1, (3, 4, 3, 7))]
    (top,) = check_forward(layer, arrays, rtol=1e-4, atol=1e-5)
    assert top.shape == (1, 2, 3, 7)
    first, last = run_gradient(layer, arrays, [], [np.ones(top.shape, np.float32)])
    assert last is None
    np.testing.assert_allclose(first.sum(), top.size, rtol=1e-5)


def test_what_is_refused() -> None:
    with pytest.raises(NetError, match="Need at least two bottom blobs"):
        parse(bottoms_text(1) + " accum_param { have_reference: true }")
    with pytest.raises(NetError, match="size_divisible_by"):
        parse(bottoms_text(1) + " accum_param { size_divisible_by: 0 }")
    layer = parse(bottoms_text(2))
    with pytest.raises(ShapeError, match="same number of images"):
        layer.out_shapes([(1, 2, 3, 4), (2, 2, 3, 4)])
    with pytest.raises(ShapeError, match="must be"):
        layer.out_shapes([(1, 2, 3), (1, 2, 3)])
