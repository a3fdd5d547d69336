"""Pooling nodes over Caffe's windows."""

from __future__ import annotations

import numpy as np
import pytest
from graph_run import run_nodes

from vggrepro.emit import GraphBuilder, RuleSet
from vggrepro.layers.rules.correlation import RULES
from vggrepro.layers.rules.pooling_nodes import LOWEST, AxisWindows, average_pool, max_pool, pad
from vggrepro.layers.rules.window import pool_end_pad, pool_size, pool_spans

CASES = [(7, 3, 2, 0), (7, 2, 3, 1), (6, 3, 3, 2), (5, 1, 4, 0), (8, 2, 3, 0)]


@pytest.mark.parametrize(("size", "kernel", "stride", "padding"), CASES)
@pytest.mark.parametrize("round_up", [True, False])
@pytest.mark.parametrize("device", RULES)
def test_maxima_and_averages(
    size: int, kernel: int, stride: int, padding: int, round_up: bool, device: RuleSet
) -> None:
    rule = {"round_up": round_up, "clip": padding > 0}
    windows = AxisWindows(kernel, stride, padding, pool_end_pad(size, kernel, stride, padding, **rule))
    spans = pool_spans(size, kernel, stride, padding, pool_size(size, kernel, stride, padding, **rule))
    x = np.random.default_rng(0).standard_normal((1, 1, size, size))
    g = GraphBuilder(device)
    names = [max_pool(g, "x", [windows] * 2), average_pool(g, "x", [windows] * 2)]
    largest, mean = run_nodes(g, {"x": x.astype(np.float32)}, names)
    for i, row in enumerate(spans):
        for j, column in enumerate(spans):
            window = x[0, 0, row.begin : row.end, column.begin : column.end]
            np.testing.assert_allclose(largest[0, 0, i, j], window.max(initial=LOWEST), rtol=1e-6)
            if row.padded > 0 and column.padded > 0:
                expected = window.sum() / (row.padded * column.padded)
                np.testing.assert_allclose(mean[0, 0, i, j], expected, rtol=1e-5, atol=1e-6)
    assert largest.shape == mean.shape == (1, 1, len(spans), len(spans))


@pytest.mark.parametrize("rows", CASES)
@pytest.mark.parametrize("columns", CASES)
@pytest.mark.parametrize("image_only", [False, True])
def test_on_cuda_no_average_has_padding(
    rows: tuple[int, int, int, int], columns: tuple[int, int, int, int], image_only: bool
) -> None:
    """Axes with other windows, of which one or both may hang over the end."""
    clip = rows[3] > 0 or columns[3] > 0
    ends = [pool_end_pad(*axis, round_up=True, clip=clip) for axis in (rows, columns)]
    windows = [
        AxisWindows(*axis[1:], end, image_only=image_only)
        for axis, end in zip((rows, columns), ends, strict=True)
    ]
    x = np.random.default_rng(0).standard_normal((2, 3, rows[0], columns[0])).astype(np.float32)
    results = []
    for device in RULES:
        g = GraphBuilder(device)
        results += run_nodes(g, {"x": x}, [average_pool(g, "x", windows)])
    pads = [
        list(a.ints) for n in g.nodes if n.op_type == "AveragePool" for a in n.attribute if a.name == "pads"
    ]
    assert pads and all(p[:2] == p[2:] for p in pads)
    np.testing.assert_allclose(results[1], results[0], rtol=1e-5, atol=1e-6)


def test_padding() -> None:
    g = GraphBuilder()
    assert pad(g, "x", 1, 0, 0) == "x" and not g.nodes
    (value,) = run_nodes(g, {"x": np.float32([[1, 2]])}, [pad(g, "x", 1, 1, 2, 9)])
    assert value.tolist() == [[9, 1, 2, 9, 9]]
