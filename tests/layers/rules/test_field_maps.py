"""The bottoms of MS-CNN's and Cascade R-CNN's layers as maps."""

from __future__ import annotations

import numpy as np
import pytest
from graph_run import run_nodes

from vggrepro.emit import GraphBuilder, Value
from vggrepro.errors import ShapeError
from vggrepro.layers.rules.field_maps import (
    check_groups,
    check_joined,
    emit_groups,
    emit_joined,
    group_maps,
    joined_maps,
)


def numbers(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def test_groups() -> None:
    arrays = [numbers(4, 3, 2, 5), numbers(4, 4, 2, 5), numbers(4, 6, 2, 5)]
    g = GraphBuilder("cpu")
    names = emit_groups(g, [Value(n, (None, *a.shape[1:])) for n, a in zip("abc", arrays, strict=True)], 2)
    found = run_nodes(g, dict(zip("abc", arrays, strict=True)), names)
    for a, b in zip(found, group_maps(arrays, 2), strict=True):
        np.testing.assert_array_equal(a, b)
    assert [f.shape for f in found] == [(2, 2, 3, 10), (2, 2, 4, 10), (2, 2, 10), (2, 2, 4, 10), (2, 2, 10)]
    assert found[2][1, 0, 7] == arrays[2][2, 0, 1, 2] and found[4][1, 1, 7] == arrays[2][3, 5, 1, 2]
    check_groups([a.shape for a in arrays], 2, 3)
    with pytest.raises(ShapeError):
        check_groups([a.shape for a in arrays], 3, 3)


def test_joined() -> None:
    arrays = [numbers(2, 7, 2, 5), numbers(2, 6, 2, 5)]
    g = GraphBuilder("cpu")
    names = emit_joined(g, [Value(n, a.shape) for n, a in zip("ab", arrays, strict=True)], 3)
    found = run_nodes(g, dict(zip("ab", arrays, strict=True)), names)
    for a, b in zip(found, joined_maps(arrays, 3), strict=True):
        np.testing.assert_array_equal(a, b)
    assert found[1][1, 0, 2, 7] == arrays[0][1, 5, 1, 2]
    check_joined([a.shape for a in arrays], 3)
    with pytest.raises(ShapeError):
        check_joined([a.shape for a in arrays], 4)
