"""PriorBoxClustered: against its reference, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, parse

from vggrepro.errors import NetError
from vggrepro.layers.base import Layer


def clustered(text: str) -> Layer:
    return parse(f'type: "PriorBoxClustered" prior_box_param {{ {text} }}')


def test_by_hand() -> None:
    layer = clustered("width: 30.5 height: 20 width: 8 height: 50 variance: 0.1 step_h: 40 step_w: 60")
    bottoms = [np.zeros((1, 1, 1, 2), np.float32), np.zeros((1, 3, 100, 200), np.float32)]
    (top,) = check_forward(layer, bottoms)
    expected = [
        [(x - w / 2) / 200, (20 - h / 2) / 100, (x + w / 2) / 200, (20 + h / 2) / 100]
        for x in (30, 90)
        for w, h in ((30.5, 20), (8, 50))
    ]
    np.testing.assert_allclose(top[0, 0].reshape(-1, 4), expected, rtol=1e-6)
    assert (top[0, 1] == np.float32(0.1)).all()
    check_forward(clustered("width: 300 height: 20 clip: true img_size: 64 offset: 0"), bottoms[:1])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "must provide width"),
        ("width: 3", r"width_size\(\) == height_size\(\)"),
        ("width: 3 height: 0", "must be positive"),
        ("width: 3 height: 3 variance: 0.1 variance: 0.1", "Must and only provide 4 variance"),
    ],
)
def test_refuses(text: str, problem: str) -> None:
    with pytest.raises(NetError, match=f"layer 'l': .*{problem}"):
        clustered(text)
