"""Comparing what a model gives with what it should give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from golden_suite import ROOT

from vggrepro.graph.forward import build_forward
from vggrepro.graph.reference import reference_forward
from vggrepro.net import Net, load_net
from vggrepro.net.transforms.deploy import to_deploy
from vggrepro.net.transforms.fully_convolutional import fully_convolutional
from vggrepro.runtime.session import Session
from vggrepro.verify.comparison import (
    Difference,
    compare,
    compare_with_reference,
    difference_table,
    example_inputs,
    magnitude,
    verdict_line,
)

NAN, INF = float("nan"), float("inf")


def test_the_figures_of_a_difference() -> None:
    got = np.array([[1.0, -2.0], [0.5, 3.0]], np.float32)
    want = np.array([[1.0, -2.5], [0.25, 3.0]], np.float32)
    assert compare("y", got, want, atol=0.5) == Difference("y", (2, 2), 0.5, 0.1875, 3.0, True)
    assert not compare("y", got, want, atol=0.49).passed


def test_absolute_and_relative_tolerance_add_up() -> None:
    got, want = np.array([11.0]), np.array([10.0])
    assert compare("y", got, want, atol=0.5, rtol=0.05).passed
    assert not compare("y", got, want, atol=0.5, rtol=0.04).passed


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_what_is_not_finite_equals_itself_alone(value: float) -> None:
    found = compare("y", np.array([value, 1.0]), np.array([value, 1.0]), atol=0.0)
    assert (found.passed, found.largest, found.magnitude) == (True, 0.0, 1.0)
    assert not compare("y", np.array([value, 1.0]), np.array([2.0, 1.0]), atol=9.0).passed
    assert not compare("y", np.array([2.0, 1.0]), np.array([value, 1.0]), atol=9.0).passed
    assert not compare("y", np.array([2.0, 1.0]), np.array([value, 1.0]), atol=9.0, rtol=0.1).passed
    assert not compare("y", np.array([INF]), np.array([-INF]), atol=9.0, rtol=0.1).passed


def test_another_shape_does_not_pass() -> None:
    found = compare("y", np.zeros((2, 1)), np.ones(2), atol=9.0)
    assert (found.passed, found.largest, found.shape, found.magnitude) == (False, INF, (2, 1), 1.0)


def test_an_empty_array_has_no_difference() -> None:
    assert compare("y", np.zeros((0, 3)), np.zeros((0, 3)), atol=0.0) == Difference(
        "y", (0, 3), 0.0, 0.0, 0.0, True
    )


def test_a_magnitude_leaves_out_what_is_not_finite() -> None:
    assert magnitude(np.array([NAN, -7.0, INF, 3.0])) == 7.0
    assert magnitude(np.array([NAN])) == 0.0


@pytest.fixture(scope="module")
def lenet() -> Net:
    folder = ROOT / "nets" / "lenet_test"
    return to_deploy(load_net(folder / "net.prototxt", folder / "weights.caffemodel"))


def everything(net: Net, *, convolutional: bool = False) -> Session:
    blobs = [blob for blob in net.blobs if blob not in net.inputs]
    return Session(build_forward(net, outputs=blobs, fully_convolutional=convolutional), "cpu", threads=1)


def test_a_session_beside_the_reference_of_its_net(lenet: Net) -> None:
    session = everything(lenet)
    inputs = example_inputs(lenet, build_forward(lenet))
    found = compare_with_reference(session, lenet, inputs, 1e-5)
    assert [d.blob for d in found] == [blob for blob in lenet.blobs if blob not in lenet.inputs]
    assert all(d.passed and d.magnitude > 0 for d in found)
    exact = reference_forward(lenet, inputs)
    assert found[0].magnitude == pytest.approx(np.abs(exact[found[0].blob]).max())
    wrong = lenet.with_params({"conv2:0": lenet.params["conv2:0"] * np.float32(1.01)})
    failed = [d.blob for d in compare_with_reference(session, wrong, inputs, 1e-5) if not d.passed]
    assert failed[0] == "conv2"
    assert "conv1" not in failed


def rooted(folder: Path) -> Net:
    """Products that are 0 but for rounding, their roots, and what is made of these."""
    path = folder / "net.prototxt"
    path.write_text(
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 4 dim: 3 dim: 5 } } }'
        'layer { name: "c" type: "CompactBilinear" bottom: "x" bottom: "x" top: "c"'
        " compact_bilinear_param { num_output: 64 sum_pool: false } }"
        'layer { name: "s" type: "SignedSqrt" bottom: "c" top: "s" }'
        'layer { name: "f" type: "InnerProduct" bottom: "s" top: "f"'
        ' inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }'
    )
    return load_net(path, seed=0)


def test_what_follows_a_root_is_judged_by_its_bottom(tmp_path: Path) -> None:
    net = rooted(tmp_path)
    inputs = example_inputs(net, build_forward(net))
    assert all(d.passed for d in compare_with_reference(everything(net), net, inputs, 2e-6))
    alone = Session(build_forward(net, outputs=["s"]), "cpu", threads=1)
    assert not compare_with_reference(alone, net, inputs, 1e-4)[0].passed


def test_behind_a_root_faults_are_found(tmp_path: Path) -> None:
    net = rooted(tmp_path)
    wrong = net.with_params({"f:0": net.params["f:0"] * np.float32(1.001)})
    differences = compare_with_reference(
        everything(wrong), net, example_inputs(net, build_forward(net)), 1e-4
    )
    assert [d.blob for d in differences if not d.passed] == ["f"]


def test_a_map_is_compared_with_the_vector_that_it_was(lenet: Net) -> None:
    session = everything(lenet, convolutional=True)
    found = compare_with_reference(session, lenet, example_inputs(lenet, build_forward(lenet)), 1e-5)
    assert all(d.passed for d in found)
    assert next(d for d in found if d.blob == "ip1").shape == (2, *lenet.shapes["ip1"][1:])


def test_example_inputs_may_be_larger_than_the_net_says(lenet: Net) -> None:
    larger = example_inputs(lenet, build_forward(lenet, fully_convolutional=True), grow=(3, 5))
    ((name, shape),) = lenet.inputs.items()
    assert larger[name].shape == (min(shape[0], 2), *shape[1:2], shape[2] + 3, shape[3] + 5)
    assert 40 < larger[name].std() < 60
    fully_convolutional(lenet).reshape({name: larger[name].shape})


def test_labels_are_zero_or_one(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 8 dim: 5 } } }'
        'layer { name: "y" type: "Input" top: "y" input_param { shape { dim: 8 } } }'
        'layer { name: "a" type: "Accuracy" bottom: "x" bottom: "y" top: "a" }'
    )
    net = load_net(path)
    arrays = example_inputs(net, build_forward(net))
    assert set(np.unique(arrays["y"])) <= {0.0, 1.0}
    assert np.abs(arrays["x"]).max() > 10


def test_boxes_are_boxes(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 1 dim: 3 dim: 7 } } }'
        'layer { name: "y" type: "Input" top: "y" input_param { shape { dim: 1 dim: 1 dim: 5 dim: 8 } } }'
        'layer { name: "e" type: "DetectionEvaluate" bottom: "x" bottom: "y" top: "e"'
        " detection_evaluate_param { num_classes: 3 } }"
    )
    net = load_net(path)
    rows = example_inputs(net, build_forward(net))["y"]
    assert rows[0, 0, :, :2].tolist() == [[0, 1]] * 5
    assert (rows[0, 0, :, 3:5] < rows[0, 0, :, 5:7]).all()


def test_boxes_in_pixels_lie_in_the_image(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 dim: 40 dim: 90 } } }'
        'layer { name: "r" type: "Input" top: "r" input_param { shape { dim: 5 dim: 5 } } }'
        'layer { name: "y" type: "Input" top: "y" input_param { shape { dim: 4 dim: 7 } } }'
        'layer { name: "p" type: "ProposalTarget" bottom: "r" bottom: "y" top: "a" top: "b" top: "c" top: "d"'
        ' top: "e" top: "f" proposal_target_param { cls_num: 3 } }'
    )
    net = load_net(path)
    rows = example_inputs(net, build_forward(net))["y"]
    assert (rows[:, 1:3] < rows[:, 3:5]).all() and (rows[:, 3:5] < [90, 40]).all()
    assert (rows[:, 5] == 1).all() and rows[:, 0].tolist() == [0, 1]


def test_a_table_marks_what_failed() -> None:
    rows = [
        Difference("conv1", (1, 2), 1.5e-7, 2e-8, 3.0, True),
        Difference("a_long_name", (4,), 1.0, 0.5, 2.0, False),
    ]
    assert difference_table(rows).splitlines() == [
        "blob          largest      mean  magnitude  shape",
        "conv1        1.50e-07  2.00e-08   3.00e+00  (1, 2)",
        "a_long_name  1.00e+00  5.00e-01   2.00e+00  (4,)  FAILED",
    ]


def test_a_verdict_beside_the_tolerance() -> None:
    rows = [Difference("a", (1,), 1.5e-7, 2e-8, 3.0, True), Difference("b", (1,), 9e-5, 0.0, 200.0, True)]
    assert verdict_line(rows, 1e-4) == "verified: worst 4.5e-07 of 0.0001 at blob b"
    failed = Difference("c", (1,), 1.0, 0.5, 2.0, False)
    assert verdict_line([*rows, failed], 1e-4) == "not verified: worst 5.0e-01 of 0.0001 at blob c"
    assert difference_table(rows, 1e-4).splitlines() == [
        "blob  relative (of 0.0001)   largest      mean  magnitude  shape",
        "a                 5.00e-08  1.50e-07  2.00e-08   3.00e+00  (1,)",
        "b                 4.50e-07  9.00e-05  0.00e+00   2.00e+02  (1,)",
    ]
    assert Difference("z", (1,), 1.0, 1.0, 0.0, False).relative == INF
