"""Both gradients of a 3x3 convolution, taken image by image, against plain sums in float64."""

from __future__ import annotations

import numpy as np
import pytest
from graph_run import run_nodes

from vggrepro.emit import GraphBuilder
from vggrepro.layers.rules import winograd_gradients

SHAPES = [
    ((1, 3, 8, 8), 2, (1, 1)),
    ((3, 2, 7, 9), 5, (1, 1)),
    ((5, 4, 6, 5), 3, (0, 2)),
    ((2, 3, 3, 11), 4, (2, 0)),
]


def plain_sums(x: np.ndarray, dy: np.ndarray, weight: np.ndarray, pad: tuple[int, int]) -> list[np.ndarray]:
    """The gradients of x and of the weight in float64, tap by tap."""
    (p, q), (height, width) = pad, dy.shape[2:]
    padded = np.pad(x.astype(np.float64), [(0, 0), (0, 0), (p, p), (q, q)])
    d_padded, d_weight = np.zeros_like(padded), np.zeros(weight.shape)
    for i, j in np.ndindex(3, 3):
        seen = (..., slice(i, i + height), slice(j, j + width))
        d_padded[seen] += np.einsum("nkhw,kc->nchw", dy, weight[:, :, i, j])
        d_weight[:, :, i, j] = np.einsum("nkhw,nchw->kc", dy, padded[seen])
    return [d_padded[:, :, p : p + x.shape[2], q : q + x.shape[3]], d_weight]


@pytest.mark.parametrize(("x_shape", "outputs", "pad"), SHAPES)
@pytest.mark.parametrize("piece", [1, 3000])
def test_images_alone_and_together(
    x_shape: tuple[int, int, int, int],
    outputs: int,
    pad: tuple[int, int],
    piece: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One by one, and two or more at a time: the same sums."""
    monkeypatch.setattr(winograd_gradients, "ENOUGH", 1)
    monkeypatch.setattr(winograd_gradients, "PIECE", piece)
    rng = np.random.default_rng(0)
    images, channels, *sizes = x_shape
    y_shape = (images, outputs, *(size + 2 * p - 2 for size, p in zip(sizes, pad, strict=True)))
    x, dy = rng.standard_normal(x_shape), rng.standard_normal(y_shape)
    weight = rng.standard_normal((outputs, channels, 3, 3))
    g = GraphBuilder("cpu")
    results = [
        winograd_gradients.input_gradient(g, "dy", "w", x_shape, y_shape, pad),
        winograd_gradients.weight_gradient(g, "x", "dy", x_shape, y_shape, pad),
    ]
    feeds = {"x": x, "dy": dy, "w": weight}
    got = run_nodes(g, {name: array.astype(np.float32) for name, array in feeds.items()}, results)
    for found, expected in zip(got, plain_sums(x, dy, weight, pad), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("channels", "side", "pieces"),
    [
        (256, 56, 4),  # one by one
        (256, 28, 1),  # few tiles
        (8, 56, 1),  # little work
    ],
)
def test_how_many_images_are_taken_together(channels: int, side: int, pieces: int) -> None:
    g = GraphBuilder("cpu")
    shape = (4, channels, side, side)
    winograd_gradients.weight_gradient(g, "x", "dy", shape, shape, (1, 1))
    assert [node.op_type for node in g.nodes].count("MatMul") == pieces + 1  # and the outputs from the sums
