"""YoloSeg: the loss and the fork's gradient by their formulas, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, parse, run_gradient, tie_free

from vggrepro.errors import ShapeError, UnsupportedError


@pytest.mark.parametrize("fixed", [True, False])
def test_loss_and_gradient(fixed: bool) -> None:
    layer = parse('type: "YoloSeg" yolo_seg_param { object_scale: 0.5 num_class: 3 class_scale: 9 }')
    rng = np.random.default_rng(0)
    x, right = tie_free(rng, (3, 2, 4, 5), -6, 6), rng.integers(0, 2, (3, 40)).astype(np.float32)
    dims = None if fixed else [(None, 2, 4, 5), (None, 40)]
    (loss,) = check_forward(layer, [x, right], dims=dims)
    away = 0.5 * (1 / (1 + np.exp(-x.astype(np.float64))) - right.reshape(x.shape))
    assert loss == pytest.approx((away**2).sum() / 3, rel=1e-5)
    got = run_gradient(layer, [x, right], (), [np.float32(2)])[0]
    np.testing.assert_allclose(got, 2 * away / 3, atol=1e-6)


def test_the_scale_has_a_default() -> None:
    x = np.zeros((1, 1), np.float32)
    (loss,) = check_forward(parse('type: "YoloSeg"'), [x, x])
    assert loss == 25 / 4


def test_yolo_seg_refuses() -> None:
    for field in ("use_logic_gradient", "use_hardsigmoid"):
        with pytest.raises(UnsupportedError, match=f"yolo_seg_param: {field} is not implemented"):
            parse(f'type: "YoloSeg" yolo_seg_param {{ {field}: true }}')
    with pytest.raises(ShapeError, match="must have the same count"):
        parse('type: "YoloSeg"').out_shapes([(2, 3), (2, 4)])
    assert 3 not in parse('type: "YoloSeg"').bottoms
