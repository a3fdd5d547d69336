"""Changes of the scores of labels: shapes, labels and what layers that do not act leave."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, parse, run_gradient

from vggrepro.caffe.messages import TEST, TRAIN
from vggrepro.errors import ShapeError

TEXT = 'type: "LabelSpecificRescale" label_specific_rescale_param { positive_weight: 3 negative_weight: 2 }'


def test_only_labels_change() -> None:
    x = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    labels = np.float32([[4], [0]])
    (top,) = check_forward(parse(TEXT, TRAIN), [x, labels], dims=[(None, 3, None), (None, 1)])
    expected = 2 * x
    expected[0, 2, 0], expected[1, 0, 0] = 3 * 4, 3 * 6
    np.testing.assert_array_equal(top, expected)
    dy = np.ones_like(x)
    (dx,) = run_gradient(parse(TEXT, TRAIN), [x, labels], [], [dy])[:1]
    expected = 2 * dy
    expected[0, 2, 0] = expected[1, 0, 0] = 3
    np.testing.assert_array_equal(dx, expected)


def test_a_layer_that_does_not_act() -> None:
    layer = parse(TEXT, TEST)
    x, labels = np.float32([[1, 2, 3]]), np.float32([7])
    assert layer.allowed_labels([x.shape, labels.shape]) is None
    np.testing.assert_array_equal(check_forward(layer, [x, labels])[0], x)
    np.testing.assert_array_equal(run_gradient(layer, [x, labels], [], [x])[0], x)


def test_one_label_for_each_instance() -> None:
    layer = parse(TEXT, TRAIN)
    allowed = layer.allowed_labels([(2, 3, 4), (2,)])
    assert allowed is not None
    assert (allowed.bottom, allowed.classes) == (1, 12)
    with pytest.raises(ShapeError, match="one label for each instance"):
        layer.out_shapes([(2, 3), (3,)])
