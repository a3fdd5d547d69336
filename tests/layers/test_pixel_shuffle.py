"""PixelShuffle and Tiling: against its reference, the forks' loops and central differences."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, values

from vggrepro.errors import NetError, ShapeError

KINDS = [
    'type: "PixelShuffle" pixel_shuffle_param { upscale_factor: %d }',
    'type: "PixelShuffle" pixelshuffle_param { upscale_factor: %d }',
    'type: "Tiling" tiling_param { tile_dim: %d }',
]


@few
@given(st.sampled_from(KINDS), st.integers(1, 3), st.integers(1, 2), st.integers(1, 4), seeds, st.data())
def test_by_loops(kind: str, r: int, channels: int, width: int, seed: int, data: st.DataObject) -> None:
    layer = parse(kind % r)
    x = values(seed, (2, channels * r * r, 2, width))
    (top,) = check_forward(layer, [x], dims=[data.draw(freed(x.shape))])
    for n, c, h, w in np.ndindex(top.shape):
        assert top[n, c, h, w] == x[n, c * r * r + (h % r) * r + w % r, h // r, w // r]
    check_gradient(layer, [x])


def test_refuses() -> None:
    with pytest.raises(NetError, match="upscale factor must be specified"):
        parse('type: "PixelShuffle"')
    with pytest.raises(NetError, match="tile_dim must be specified"):
        parse('type: "Tiling"')
    layer = parse('type: "PixelShuffle" pixel_shuffle_param { upscale_factor: 2 }')
    with pytest.raises(ShapeError, match="C divisible by 4"):
        layer.out_shapes([(1, 6, 2, 2)])
