"""Axes that give way to others, at fixed and at free sizes."""

from __future__ import annotations

import numpy as np
import pytest
from graph_run import run_nodes

from vggrepro.emit import GraphBuilder, Value
from vggrepro.errors import FixedShapeError
from vggrepro.layers.rules.replaced_axes import COPY, INFER, ReplacedAxes


@pytest.mark.parametrize(
    ("dims", "start", "end", "new", "expected"),
    [
        ((2, 3, 4, 5), 1, 4, (INFER,), (2, 60)),
        ((None, 3, 4, 5), 1, 4, (60,), (2, 60)),
        ((None, 3, None, 5), 1, 3, (INFER,), (2, 12, 5)),
        ((2, 3, 4, 5), 0, 4, (COPY, COPY, 20), (2, 3, 20)),
        ((2, 3, 4, None), 1, 3, (4, 3), (2, 4, 3, 5)),
    ],
)
def test_there_and_back(
    dims: tuple[int | None, ...], start: int, end: int, new: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    g = GraphBuilder()
    x = np.arange(120, dtype=np.float32).reshape(2, 3, 4, 5)
    top = ReplacedAxes(Value("x", dims), start, end, new).emit(g)
    back = ReplacedAxes(Value("x", x.shape), start, end, new).gradient(g, top)
    values = run_nodes(g, {"x": x}, [top, back])
    assert values[0].shape == expected
    np.testing.assert_array_equal(values[1], x)


def test_a_free_size_that_gives_way_to_fixed_ones_must_be_fixed() -> None:
    axes = ReplacedAxes(Value("x", (2, None, None)), 1, 2, (2, 3))
    with pytest.raises(FixedShapeError):
        axes.emit(GraphBuilder())
