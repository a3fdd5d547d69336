"""ReorgYolo: what Reorg does, and darknet's indices."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from shape_cases import values

from vggrepro.errors import NetError


def test_darknets_order() -> None:
    """The place in the bottom, taken for (C / s^2, H s, W s), of each element of the top."""
    s, (c, h, w) = 2, (4, 4, 6)
    x = values(0, (1, c, h, w))
    layer = parse(f'type: "ReorgYolo" reorg_yolo_param {{ stride: {s} }}')
    (top,) = check_forward(layer, [x])
    assert top.shape == (1, c * s * s, h // s, w // s)
    inside, flat = c // s**2, top.reshape(-1)
    for k, j, i in np.ndindex(c, h, w):
        channel, block = k % inside, k // inside
        place = (channel * h * s + j * s + block // s) * w * s + i * s + block % s
        assert flat[(k * h + j) * w + i] == x.reshape(-1)[place]
    check_gradient(layer, [x])


def test_stride() -> None:
    x = values(0, (1, 2, 3, 3))
    np.testing.assert_array_equal(check_forward(parse('type: "ReorgYolo"'), [x])[0], x)
    with pytest.raises(NetError, match="stride must be above 0, got 0"):
        parse('type: "ReorgYolo" reorg_yolo_param { stride: 0 }')
