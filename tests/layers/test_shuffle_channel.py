"""ShuffleChannel: against its reference, by hand, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

from vggrepro.errors import NetError, ShapeError


@few
@given(
    st.integers(1, 4),
    st.integers(1, 3),
    shapes(least=1, most=4),
    seeds,
    st.data(),
)
def test_shuffle_channel(
    group: int, size: int, rest: tuple[int, ...], seed: int, data: st.DataObject
) -> None:
    shape = (rest[0], group * size, *rest[1:])
    layer = parse(f'type: "ShuffleChannel" shuffle_channel_param {{ group: {group} }}')
    x = values(seed, shape)
    check_forward(layer, [x], dims=[data.draw(freed(shape, but=(1,)))])
    check_gradient(layer, [x])


def test_shuffle_channel_takes_each_group_in_turn() -> None:
    layer = parse('type: "ShuffleChannel" shuffle_channel_param { group: 2 }')
    (y,) = check_forward(layer, [np.arange(6, dtype=np.float32).reshape(1, 6)])
    assert y.tolist() == [[0, 3, 1, 4, 2, 5]]
    with pytest.raises(ShapeError, match="Wrong group size"):
        layer.out_shapes([(1, 5, 2, 2)])
    with pytest.raises(NetError, match="group must be greater than 0"):
        parse('type: "ShuffleChannel" shuffle_channel_param { group: 0 }')
