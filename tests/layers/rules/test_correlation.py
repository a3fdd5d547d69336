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
    check_gradients(Windows((3, 2), stride, pad, dilation), group, (7, 6), device)


@pytest.mark.parametrize("device", RULES)
@pytest.mark.parametrize("group", [1, 2])
def test_the_gradients_where_windows_are_few(group: int, device: RuleSet) -> None:
    check_gradients(Windows((3, 2), (1, 1), (0, 0), (1, 1)), group, (3, 3), device)


@pytest.mark.parametrize(
    ("sizes", "tiles_of"), [((28, 28), 4), ((14, 14), 2), ((30, 27), 4)], ids=lambda value: str(value)
)
def test_the_tiles_of_the_inputs_gradient(sizes: tuple[int, int], tiles_of: int) -> None:
    """Those of 4 columns, as in a forward pass, unless too many stand over the edges."""
    windows = Windows((3, 3), (1, 1), (1, 1), (1, 1))
    map_ = Correlation((1, 128, *sizes), (1, 96, *sizes), windows, 1)
    g = GraphBuilder("cpu")
    rng = np.random.default_rng(0)
    dy, w = (rng.standard_normal(shape, np.float32) for shape in ((1, 96, *sizes), (96, 128, 3, 3)))
    outputs = [map_.input_gradient(g, "dy", "w"), map_.turned_input(g, "dy", "w") or ""]
    got, direct = run_nodes(g, {"dy": dy, "w": w}, outputs)
    np.testing.assert_allclose(got, direct, atol=1e-5 * np.abs(direct).max())
    strides = {a.ints[1] for n in g.nodes if "Conv" in n.op_type for a in n.attribute if a.name == "strides"}
    assert max(strides) == tiles_of


def check_gradients(windows: Windows, group: int, sizes: tuple[int, int], device: RuleSet) -> None:
    """<y(x, w), dy> is linear in x and in w, so it equals <x, dx> and <w, dw>."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 4, *sizes)), rng.standard_normal((6, 4 // group, *windows.kernel))
    y_shape = (2, 6, *Value("y", windows.conv_sizes(sizes)).shape)
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
