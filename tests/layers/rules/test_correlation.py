"""The bilinear map of convolutions: forward and both gradients are one trilinear form."""

from __future__ import annotations

import numpy as np
import pytest
from graph_run import run_nodes

from vggrepro.emit import GraphBuilder, RuleSet, Value
from vggrepro.layers.rules.correlation import RULES, Correlation, conv_attributes
from vggrepro.layers.rules.window import Windows


@pytest.mark.parametrize("device", RULES)
@pytest.mark.parametrize(
    ("stride", "pad", "dilation", "group"),
    [
        ((1, 1), (1, 0), (1, 1), 1),
        ((2, 3), (0, 2), (1, 1), 2),
        ((1, 1), (0, 0), (2, 1), 2),
        ((3, 1), (2, 1), (1, 2), 1),
    ],
)
def test_the_gradients_are_transposes_of_the_map(
    stride: tuple[int, int],
    pad: tuple[int, int],
    dilation: tuple[int, int],
    group: int,
    device: RuleSet,
) -> None:
    """<y(x, w), dy> is linear in x and in w, so it equals <x, dx> and <w, dw>."""
    windows = Windows((3, 2), stride, pad, dilation)
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 4, 7, 6)), rng.standard_normal((6, 4 // group, 3, 2))
    y_shape = (2, 6, *Value("y", windows.conv_sizes((7, 6))).shape)
    dy = rng.standard_normal(y_shape)
    g = GraphBuilder(device)
    map_ = Correlation(x.shape, y_shape, windows, group)
    outputs = [
        map_.forward(g, "x", "w"),
        map_.input_gradient(g, "dy", "w"),
        map_.weight_gradient(g, "x", "dy"),
    ]
    feeds = {name: a.astype(np.float32) for name, a in (("x", x), ("w", w), ("dy", dy))}
    y, dx, dw = run_nodes(g, feeds, outputs)
    assert (y.shape, dx.shape, dw.shape) == (y_shape, x.shape, w.shape)
    expected = (np.float64(y) * dy).sum()
    np.testing.assert_allclose([(dx * x).sum(), (dw * w).sum()], expected, rtol=1e-4)


def test_attributes_pad_the_end_by_what_lies_beyond_it() -> None:
    windows = Windows((3, 3), (1, 2), (1, 0), (1, 1))
    assert conv_attributes(windows, (0, 2))["pads"] == [1, 0, 1, 2]
    assert conv_attributes(windows)["pads"] == [1, 0, 1, 0]
