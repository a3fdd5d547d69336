"""ScaleRoute: against its reference, and a loop of the test's own."""

from __future__ import annotations

import math

import numpy as np
import pytest
from harness import check_forward, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, seeds, values

from vggrepro import emit
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Shapes
from vggrepro.layers.scale_route import ScaleRoute

RANGES = [{}, {"high": 12.0}, {"low": 12.0}, {"low": 6.0, "high": 20.0}, {"low": 900.0}, {"high": 0.5}]


class Routed(ScaleRoute):
    """A ScaleRoute that declares the number of rows that a test's boxes leave."""

    rows = 0

    def out_shapes(self, bottoms: Shapes) -> tuple[emit.Shape, ...]:
        return tuple((self.rows, *shape[1:]) for shape in super().out_shapes(bottoms))


def chosen(boxes: np.ndarray, low: float | None = None, high: float | None = None) -> list[int]:
    """The fork's loop."""
    ends = [end for end in (low, high) if end is not None]
    middle = math.sqrt(low * high) if len(ends) == 2 else ends[0] if ends else 256
    rows, best, nearest = [], math.inf, 0
    for index, (_, x1, y1, x2, y2) in enumerate(boxes.tolist()):
        area = 0 if x2 < x1 or y2 < y1 else (x2 - x1 + 1) * (y2 - y1 + 1)
        scale = math.sqrt(area)
        if (low or 0) <= scale < (high or math.inf):
            rows.append(index)
        distance = abs(math.log2(scale / middle)) if scale else math.inf
        if distance < best:
            best, nearest = distance, index
    return rows or [nearest]


@few
@given(st.integers(1, 8), st.sampled_from(RANGES), seeds)
def test_any_boxes(number: int, ends: dict[str, float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 30, (number, 4)) + rng.choice([0.137, 0.311, 0.709], (number, 4))
    boxes = np.concatenate([rng.integers(0, 2, (number, 1)), corners], axis=1).astype(np.float32)
    more = values(seed, (number, 3, 2))
    layer, rows = Routed(**ends), chosen(boxes, **ends)
    object.__setattr__(layer, "rows", len(rows))
    dims = [(None, 5, 1, 1), (None, 3, 2)]
    tops = check_forward(layer, [boxes.reshape(-1, 5, 1, 1), more], dims=dims)
    np.testing.assert_array_equal(tops[0].reshape(-1, 5), boxes[rows])
    np.testing.assert_array_equal(tops[1], more[rows])


def test_parameters() -> None:
    layer = parse(
        'type: "ScaleRoute" bottom: "b" top: "r" scale_route_param { low_scale: 112 high_scale: 448 }'
    )
    assert layer == ScaleRoute(112, 448)
    assert layer.middle == pytest.approx(224)
    assert layer.out_shapes([(300, 5, 1, 1)]) == ((300, 5, 1, 1),)
    assert parse('type: "ScaleRoute" bottom: "b" top: "r"').middle == 256
    for ends in ("low_scale: 0", "low_scale: 5 high_scale: 4", "high_scale: -1"):
        with pytest.raises(NetError, match="expected 0 < low_scale <= high_scale"):
            parse(f'type: "ScaleRoute" bottom: "b" top: "r" scale_route_param {{ {ends} }}')
    with pytest.raises(NetError, match="== top"):
        parse('type: "ScaleRoute" bottom: "b" bottom: "c" top: "r"')
    with pytest.raises(ShapeError, match="5 numbers for each box"):
        layer.out_shapes([(300, 4)])
    with pytest.raises(ShapeError, match="one row for each box"):
        layer.out_shapes([(300, 5), (299, 2)])
