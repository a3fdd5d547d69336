"""DataAugmentation: against its reference and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, parse
from shape_cases import values

from vggrepro.caffe.messages import TRAIN
from vggrepro.errors import ShapeError, UnsupportedError

X = values(0, (2, 3, 4, 5))
SEEN = np.full((1, 1, 1, 1), 2000, np.float32)
PLACES, CHANNELS = values(1, (1, 3, 4, 5)), values(2, (1, 3, 1, 1))


def layer(text: str, phase: int = TRAIN):
    return parse(f'type: "DataAugmentation" augmentation_param {{ {text} }}', phase)


@pytest.mark.parametrize("per_pixel, mean", [("true", PLACES), ("false", CHANNELS)])
def test_means_of_the_weights(per_pixel: str, mean: np.ndarray) -> None:
    """What FlowNet 2's deploy nets have: a translation that is not applied without a crop."""
    text = f"recompute_mean: 1000 mean_per_pixel: {per_pixel} translate {{ spread: 0.4 prob: 1 }}"
    augmentation = layer(text)
    assert [d.shape for d in augmentation.param_defs([X.shape])] == [(1, 1, 1, 1), (1, 3, 4, 5), (1, 3, 1, 1)]
    (top,) = check_forward(augmentation, [X], [SEEN, PLACES, CHANNELS], dims=[(None, 3, 4, 5)])
    np.testing.assert_allclose(top, X - mean, rtol=1e-6)


def test_means_of_the_definition() -> None:
    given = layer("mean: [1, 2, 4] mean_per_pixel: false")
    assert len(given.param_defs([X.shape])) == 1
    (top,) = check_forward(given, [X], [SEEN])
    np.testing.assert_allclose(top, X - np.reshape([1, 2, 4], (3, 1, 1)), rtol=1e-6)
    with pytest.raises(ShapeError, match=r"must be \(N, 3, H, W\)"):
        given.out_shapes([(1, 2, 4, 5)])


@pytest.mark.parametrize(
    "text", ["", "mean: [1, 2, 4]", "mean: [1, 2] mean_per_pixel: false", "crop_width: 3"]
)
def test_nothing_to_subtract(text: str) -> None:
    """Three means are for channels, so they need ``mean_per_pixel: false``."""
    (top,) = check_forward(layer(text), [X], [SEEN])
    np.testing.assert_array_equal(top, X)


def test_augmenting_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="crop_width and crop_height are not implemented"):
        layer("crop_width: 3 crop_height: 3")
