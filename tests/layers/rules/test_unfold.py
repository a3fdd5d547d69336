"""What a convolution's windows see."""

from __future__ import annotations

import numpy as np
import pytest
from graph_run import run_nodes

from vggrepro.emit import GraphBuilder, Value
from vggrepro.layers.rules.unfold import at, gather_unfolded, offset_slices, pad_widths, unfold
from vggrepro.layers.rules.window import Windows


@pytest.mark.parametrize(
    "windows",
    [
        Windows((3, 2), (1, 1), (0, 0), (1, 1)),
        Windows((2, 3), (2, 3), (1, 2), (1, 1)),
        Windows((2, 2), (1, 2), (0, 1), (3, 2)),
        Windows((1, 1), (1, 1), (0, 0), (1, 1)),
        Windows((1, 1), (2, 2), (0, 0), (1, 1)),
    ],
)
@pytest.mark.parametrize("free", [False, True])
def test_each_window_has_its_elements_in_the_kernels_order(windows: Windows, free: bool) -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 7, 6)).astype(np.float32)
    g = GraphBuilder()
    dims = (None, 3, None, None) if free else x.shape
    (columns,) = run_nodes(g, {"x": x}, [unfold(g, "x", dims, windows)])
    rows, width = Value("top", windows.conv_sizes((7, 6))).shape
    assert columns.shape == (2, 3, windows.kernel[0] * windows.kernel[1], rows, width)
    padded = np.pad(x, pad_widths(x.shape, windows))
    for index, offset in enumerate(np.ndindex(windows.kernel)):
        np.testing.assert_array_equal(
            columns[:, :, index], padded[offset_slices(offset, (rows, width), windows)]
        )
    down, right = (p * s for p, s in zip((rows - 1, width - 1), windows.stride, strict=True))
    np.testing.assert_array_equal(columns[:, :, 0, -1, -1], padded[:, :, down, right])


def test_a_window_larger_than_its_input_reads_zeros_behind_it() -> None:
    windows = Windows((3,), (2,), (0,), (1,))
    assert pad_widths((1, 1, 2), windows) == [(0, 0), (0, 0), (0, 1)]
    assert pad_widths((1, 1, None), windows) == [(0, 0)] * 3
    assert at([1, slice(2, 3)]) == (slice(None), slice(None), 1, slice(2, 3))


@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize(
    "windows",
    [
        Windows((2, 3), (2, 1), (0, 2), (2, 1)),
        Windows((1, 1), (1, 1), (0, 0), (1, 1)),
        Windows((9, 1), (2, 2), (1, 0), (1, 1)),  # more than the whole padded input: once all the same
    ],
)
def test_a_gather_unfolds_as_slices_do(windows: Windows, images: int) -> None:
    shape = (images, 2, 5, 6)
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    g = GraphBuilder()
    sliced = run_nodes(g, {"x": x}, [unfold(g, "x", shape, windows)])[0]
    g = GraphBuilder()
    gathered = run_nodes(g, {"x": x}, [gather_unfolded(g, "x", shape, windows)])[0]
    expected = sliced.reshape(images, 2, sliced.shape[2], -1).transpose(1, 2, 0, 3)
    np.testing.assert_array_equal(gathered, expected.reshape(gathered.shape))
