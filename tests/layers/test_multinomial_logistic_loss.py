from __future__ import annotations

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient, tie_free
from hypothesis import given
from hypothesis import strategies as st
from loss_cases import few, freed

from vggrepro.errors import GradientError, ShapeError
from vggrepro.layers.base import Needed

LAYER = parse('type: "MultinomialLogisticLoss"')
ONE = np.array(1, np.float32)


@few
@given(st.data(), st.integers(0, 3))
def test_any_shape(data: st.DataObject, ones: int) -> None:
    """Labels count through the whole instance, and are (N), (N, 1), (N, 1, 1) or (N, 1, 1, 1)."""
    shape = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    label = rng.integers(0, int(np.prod(shape[1:])), (shape[0],) + (1,) * ones).astype(np.float32)
    bottoms = [tie_free(rng, shape, 0.05, 1), label]
    check_forward(LAYER, bottoms, dims=[data.draw(freed(b.shape)) for b in bottoms])
    check_gradient(LAYER, bottoms, d_tops=[np.array(0.3, np.float32)])


def test_small_probabilities_count_as_1e_minus_20() -> None:
    """In the loss and, other than SoftmaxWithLoss's clamp, in the gradient."""
    bottoms = [np.array([[0, 1], [1e-25, 1]], np.float32), np.zeros(2, np.float32)]
    (loss,) = check_forward(LAYER, bottoms)
    np.testing.assert_allclose(loss, 20 * np.log(10), rtol=1e-6)
    gradient, _ = run_gradient(LAYER, bottoms, [], [ONE])
    np.testing.assert_allclose(gradient, [[-0.5e20, 0], [-0.5e20, 0]], rtol=1e-6)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(2, 3), (3,)], "The data and label should have the same first dimension"),
        ([(2, 3), (2, 3)], r"bottom\[1\]->channels\(\) == 1 \(3 vs. 1\)"),
        ([(2, 3), (2, 1, 4)], r"bottom\[1\]->height\(\) == 1 \(4 vs. 1\)"),
        ([(2, 3), (2, 1, 1, 5)], r"bottom\[1\]->width\(\) == 1 \(5 vs. 1\)"),
        ([(2, 1, 1, 1, 3), (2,)], "Cannot use legacy accessors on Blobs with > 4 axes"),
    ],
)
def test_refuses_shapes(shapes: list[tuple[int, ...]], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        LAYER.out_shapes(shapes)


def test_labels_get_no_gradient() -> None:
    bottoms = [np.ones((2, 3), np.float32), np.zeros(2, np.float32)]
    with pytest.raises(GradientError, match="cannot backpropagate to label inputs"):
        run_gradient(LAYER, bottoms, [], [ONE], needed=Needed((True, True), ()))
