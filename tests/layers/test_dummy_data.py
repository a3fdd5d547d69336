from __future__ import annotations

import pytest
from harness import check_forward, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, shapes

from vggrepro.errors import NetError
from vggrepro.layers.base import Layer

TWO = 'type: "DummyData" top: "a" top: "b"'


def layer_of(param: str, tops: str = TWO) -> Layer:
    return parse(f"{tops} dummy_data_param {{ {param} }}")


def shape_of(shape: tuple[int, ...]) -> str:
    return "shape { " + " ".join(f"dim: {d}" for d in shape) + " } "


@few
@given(st.lists(shapes(0), min_size=1, max_size=3), st.booleans(), st.booleans())
def test_constants_are_part_of_the_graph(
    every: list[tuple[int, ...]], one_shape: bool, one_filler: bool
) -> None:
    tops = 'type: "DummyData" ' + " ".join(f'top: "y{i}"' for i in range(len(every)))
    fillers = [f"data_filler {{ value: {0.5 - i} }} " for i in range(len(every))]
    given_shapes = every[:1] if one_shape else every
    layer = layer_of(
        "".join(map(shape_of, given_shapes)) + "".join(fillers[:1] if one_filler else fillers), tops
    )
    assert not layer.source
    for index, top in enumerate(check_forward(layer, [])):
        assert top.shape == every[0 if one_shape else index]
        assert (top == (0.5 if one_filler else 0.5 - index)).all()


def test_without_fillers_the_tops_are_zeros() -> None:
    a, b = check_forward(layer_of(shape_of((2, 3))), [])
    assert a.shape == b.shape == (2, 3) and not a.any() and not b.any()


def test_legacy_sizes_make_four_axes() -> None:
    layer = layer_of("num: 2 channels: 3 channels: 5 height: 4 width: 1")
    assert layer.out_shapes([]) == ((2, 3, 4, 1), (2, 5, 4, 1))


def test_random_tops_are_inputs() -> None:
    """All of them, if one is random: the caller draws them."""
    layer = layer_of(shape_of((2, 3)) + 'data_filler { value: 1 } data_filler { type: "gaussian" }')
    assert layer.source
    assert layer.out_shapes([]) == ((2, 3), (2, 3))


@pytest.mark.parametrize(
    ("param", "message"),
    [
        (shape_of((1,)) * 2 + "data_filler { } " * 3, "Number of data fillers must be 0, 1 or equal"),
        (shape_of((1,)) * 3, "Must specify 'shape' once, or once per top blob"),
        ("", "Must specify 'shape' once"),
        (shape_of((1,)) + "num: 1", "Both shape and legacy fields were specified"),
        ("num: 1 channels: 2 height: 1", "Must specify 'width' once"),
        ("num: 1 num: 1 num: 1 channels: 2 height: 1 width: 1", "Must specify 'num' once"),
    ],
)
def test_wrong_numbers(param: str, message: str) -> None:
    with pytest.raises(NetError, match=message):
        layer_of(param)
