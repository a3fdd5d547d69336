"""MultiLabelLoss: against its reference, the formula and central differences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, values

from vggrepro.caffe.messages import LayerParameter
from vggrepro.errors import GradientError, ShapeError, UnsupportedError
from vggrepro.layers.base import Needed
from vggrepro.net.load import load_net

LAYER = parse('type: "MultiLabelLoss"')


@few
@given(st.integers(1, 4), st.integers(1, 5), st.sampled_from([(), (1, 1)]), seeds, st.data())
def test_by_formula(number: int, classes: int, rest: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    shape = (number, classes, *rest)
    x = values(seed, shape, -4, 4)
    label = np.random.default_rng(seed).choice([-1, -0.5, 0, 0.5, 1, 3], shape[:2]).astype(np.float32)
    (loss,) = check_forward(LAYER, [x, label], dims=[data.draw(freed(shape[:2])) + rest, label.shape])
    chance = 1 / (1 + np.exp(-x.reshape(shape[:2]).astype(np.float64)))
    wanted = -np.log(chance[label > 0]).sum() - np.log(1 - chance[label < 0]).sum()
    assert loss == pytest.approx(wanted / number, rel=1e-4, abs=1e-6)
    check_gradient(LAYER, [x, label])


def test_far_scores_stay_finite_and_unknown_labels_count_for_nothing() -> None:
    x = np.float32([[200, -200, 200, np.nan], [-300, 300, 1, np.inf]])
    label = np.float32([[1, -1, -1, 0], [-1, 1, 0, 0]])
    (loss,) = check_forward(LAYER, [x, label])
    assert loss == 100
    dx, d_label = run_gradient(LAYER, [x, label], [], [np.float32(3)])
    np.testing.assert_array_equal(dx, [[0, 0, 1.5, 0], [0, 0, 0, 0]])
    assert d_label is None


def test_a_deploy_net_has_a_sigmoid() -> None:
    found = LAYER.prediction(LayerParameter(bottom=["score", "label"]))
    assert (found.type, list(found.bottom)) == ("Sigmoid", ["score"])


def test_definitions_of_2014(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text("""
        input: "x" input_dim: 2 input_dim: 3 input_dim: 1 input_dim: 1
        input: "label" input_dim: 2 input_dim: 3 input_dim: 1 input_dim: 1
        layers { name: "loss" type: MULTI_LABEL_LOSS bottom: "x" bottom: "label" top: "loss" }
        layers { name: "right" type: MULTI_LABEL_ACCURACY bottom: "x" bottom: "label" top: "right" }""")
    net = load_net(path)
    assert [layer.type for layer in net.message.layer[-2:]] == ["MultiLabelLoss", "MultiLabelAccuracy"]


def test_refuses() -> None:
    assert LAYER.out_shapes([(2, 3), (2, 3, 1, 1)]) == ((),)
    with pytest.raises(ShapeError, match=r"same count. \(6 vs. 2\)"):
        LAYER.out_shapes([(2, 3), (2, 1)])
    with pytest.raises(UnsupportedError, match=r"MultiLabelLoss of maps, got scores of shape \(2, 3, 4, 1\)"):
        LAYER.out_shapes([(2, 3, 4, 1), (2, 3, 4, 1)])
    x = values(0, (2, 3))
    with pytest.raises(GradientError, match="cannot backpropagate to label"):
        run_gradient(LAYER, [x, x], [], [np.float32(1)], needed=Needed((True, True), ()))
