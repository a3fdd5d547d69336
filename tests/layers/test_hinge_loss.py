from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient, tie_free
from hypothesis import given
from hypothesis import strategies as st
from loss_cases import few, freed

from vggrepro.errors import GradientError, ShapeError
from vggrepro.layers.base import Layer, Needed

ONE = np.array(1, np.float32)


def layer_of(norm: str = "") -> Layer:
    return parse(f'type: "HingeLoss" hinge_loss_param {{ {norm} }}')


@few
@given(st.data(), st.sampled_from(["", "norm: L1", "norm: L2"]), st.lists(st.integers(1, 3), max_size=2))
def test_any_shape(data: st.DataObject, norm: str, label_tail: list[int]) -> None:
    """Labels count through the instance; a longer label blob is read up to its Nth value. The scores
    keep away from the kinks at 1 and -1: (k + 1/2) 6/n - 3 is neither for whole k and n."""
    shape = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    size = int(np.prod(shape[1:]))
    label = rng.integers(0, size, (shape[0], *label_tail)).astype(np.float32)
    bottoms = [tie_free(rng, shape, -3, 3), label]
    check_forward(layer_of(norm), bottoms, dims=[data.draw(freed(b.shape)) for b in bottoms])
    check_gradient(layer_of(norm), bottoms, d_tops=[np.array(1.5, np.float32)])


@pytest.mark.parametrize(("norm", "loss"), [("norm: L1", 1.25 + 1.5), ("norm: L2", 1.25**2 + 1.5**2)])
def test_value(norm: str, loss: float) -> None:
    """The margin of the true class is 1 - x, of others 1 + x."""
    bottoms = [np.array([[-0.25, 0.5, -4]], np.float32), np.array([0], np.float32)]
    assert check_forward(layer_of(norm), bottoms)[0] == loss


def test_a_margin_of_exactly_zero_has_no_slope() -> None:
    gradient, _ = run_gradient(
        layer_of(), [np.array([[1, -1, 0]], np.float32), np.zeros(1, np.float32)], [], [ONE]
    )
    np.testing.assert_array_equal(gradient, [[0, 0, 1]])


def test_nan_counts_as_no_loss() -> None:
    """Caffe's max(0, NaN) is 0."""
    bottoms = [np.array([[np.nan, 0]], np.float32), np.zeros(1, np.float32)]
    assert check_forward(layer_of(), bottoms)[0] == 1


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(2, 3), (3,)], "The data and label should have the same first dimension"),
        ([(2, 1, 1, 1, 3), (2,)], "Cannot use legacy accessors on Blobs with > 4 axes"),
    ],
)
def test_refuses_shapes(shapes: list[tuple[int, ...]], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        layer_of().out_shapes(shapes)


def test_labels_get_no_gradient() -> None:
    bottoms = [np.zeros((2, 3), np.float32), np.zeros(2, np.float32)]
    with pytest.raises(GradientError, match="cannot backpropagate to label inputs"):
        run_gradient(layer_of(), bottoms, [], [ONE], needed=Needed((True, True), ()))
