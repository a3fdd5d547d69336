from __future__ import annotations

import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import axes, few, freed, seeds, shapes, values

from vggrepro.errors import NetError


@few
@given(shapes(), st.integers(1, 4), seeds, st.data())
def test_any_axis(shape: tuple[int, ...], tiles: int, seed: int, data: st.DataObject) -> None:
    layer = parse(f'type: "Tile" tile_param {{ axis: {data.draw(axes(shape))} tiles: {tiles} }}')
    x = values(seed, shape)
    check_forward(layer, [x], dims=[data.draw(freed(shape))])
    check_gradient(layer, [x])


def test_the_default_axis_is_1() -> None:
    assert parse('type: "Tile" tile_param { tiles: 3 }').out_shapes([(2, 3, 4)]) == ((2, 9, 4),)


@pytest.mark.parametrize(
    ("param", "message"),
    [
        ("axis: 1", "Number of tiles must be specified"),
        ("tiles: 0", "Number of tiles must be positive"),
        ("tiles: -2", "Number of tiles must be positive"),
    ],
)
def test_wrong_tiles(param: str, message: str) -> None:
    with pytest.raises(NetError, match=message):
        parse(f'type: "Tile" tile_param {{ {param} }}')


def test_axis_out_of_range() -> None:
    with pytest.raises(NetError, match="axis 1 out of range"):
        parse('type: "Tile" tile_param { tiles: 2 }').out_shapes([(3,)])
