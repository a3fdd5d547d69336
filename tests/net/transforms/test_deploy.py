"""From train_val to deploy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from golden_suite import ROOT
from net_files import image, layer, net_of, noise

from vggrepro.errors import NetError
from vggrepro.graph.reference import reference_forward
from vggrepro.net import Net, load_net
from vggrepro.net.load import initial_params
from vggrepro.net.transforms.deploy import to_deploy
from vggrepro.verify.reference_case import ReferenceCase

PROTOTXT = Path(__file__).parents[3] / "prototxt"


@pytest.mark.slow
def test_the_papers_net_becomes_its_deploy_file() -> None:
    train = load_net(PROTOTXT / "A" / "train_val.prototxt", input_shapes={"data": (10, 3, 224, 224)})
    got = to_deploy(train)
    want = load_net(PROTOTXT / "A" / "deploy.prototxt")
    assert got.inputs == want.inputs
    assert got.outputs == want.outputs
    assert [stripped(p.message) for p in got.layers[1:]] == [stripped(p.message) for p in want.layers[1:]]
    assert all(
        got.params[key] is train.params[key] or got.params[key].base is not None for key in want.params
    )


def stripped(message: object) -> object:
    """Without what only training reads."""
    copy = type(message)()
    copy.CopyFrom(message)
    copy.ClearField("param")
    for kind in (copy.convolution_param, copy.inner_product_param):
        kind.ClearField("weight_filler")
        kind.ClearField("bias_filler")
    for name in ("convolution_param", "inner_product_param"):
        if not getattr(copy, name).ListFields():
            copy.ClearField(name)
    return copy


def test_several_losses_leave_several_predictions() -> None:
    net = ReferenceCase(ROOT / "nets" / "googlenet_like_train").load()
    deployed = to_deploy(load_again(net, "TEST"))
    assert {p.layer.type for p in deployed.layers} >= {"Input", "Softmax", "Concat"}
    assert not [p for p in deployed.layers if p.layer.loss or p.layer.type == "Accuracy"]
    losses = [p.name for p in net.layers if p.layer.type == "SoftmaxWithLoss"]
    assert list(deployed.outputs) == sorted(f"prob_{name}" for name in losses)
    assert list(deployed.inputs) == ["data"]
    assert deployed.params.keys() == net.params.keys()


def load_again(net: Net, phase: str) -> Net:
    return load_net(net.sources["prototxt"], net.sources["weights"], phase=phase)


def test_values_stay() -> None:
    net = load_again(ReferenceCase(ROOT / "nets" / "lenet_train").load(), "TEST")
    deployed = to_deploy(net)
    feeds = noise(net.inputs)
    feeds["label"] = np.zeros(net.inputs["label"], np.float32)
    scores = reference_forward(net, feeds)
    got = reference_forward(deployed, {"data": feeds["data"]})
    assert deployed.outputs.keys() == {"prob"}
    judged = next(p.message.bottom[0] for p in net.layers if p.layer.type == "SoftmaxWithLoss")
    e = np.exp(scores[judged] - scores[judged].max(axis=1, keepdims=True))
    np.testing.assert_allclose(got["prob"], e / e.sum(axis=1, keepdims=True), rtol=1e-9)


DATA = image(2, 3, 4, 5)
LABEL = image(2, name="label")
SCORES = layer("fc", "InnerProduct", "data", more="inner_product_param { num_output: 7 }")


def blobs(net: Net) -> tuple[list[str], list[str], list[str]]:
    return [p.name for p in net.layers], list(net.inputs), list(net.outputs)


DEPLOYED = {
    "softmax_loss": (
        LABEL + DATA + SCORES + layer("loss", "SoftmaxWithLoss", "fc label"),
        (["data", "fc", "prob"], ["data"], ["prob"]),
    ),
    "softmax_that_the_loss_gives": (
        LABEL
        + DATA
        + SCORES
        + layer("loss", "SoftmaxWithLoss", "fc label", "loss p", "loss_weight: 1 loss_weight: 0")
        + layer("best", "ArgMax", "p"),
        (["data", "fc", "prob", "best"], ["data"], ["best"]),
    ),
    "softmax_that_is_there": (
        LABEL + DATA + SCORES + layer("loss", "SoftmaxWithLoss", "fc label") + layer("prob", "Softmax", "fc"),
        (["data", "fc", "prob"], ["data"], ["prob"]),
    ),
    "name_that_is_taken": (
        LABEL
        + DATA
        + SCORES
        + layer("loss", "SoftmaxWithLoss", "fc label")
        + layer("x", "Power", "fc", "prob"),
        (["data", "fc", "prob_loss", "x"], ["data"], ["prob", "prob_loss"]),
    ),
    "two_losses_on_one_blob": (
        LABEL
        + DATA
        + SCORES
        + layer("a", "SoftmaxWithLoss", "fc label")
        + layer("b", "HingeLoss", "fc label"),
        (["data", "fc", "prob"], ["data"], ["prob"]),
    ),
    "sigmoid_loss": (
        image(2, 7, name="target") + DATA + SCORES + layer("loss", "SigmoidCrossEntropyLoss", "fc target"),
        (["data", "fc", "prob"], ["data"], ["prob"]),
    ),
    "euclidean": (
        image(2, 7, name="target") + DATA + SCORES + layer("loss", "EuclideanLoss", "fc target"),
        (["data", "fc"], ["data"], ["fc"]),
    ),
    "accuracy_alone": (
        LABEL + DATA + SCORES + layer("top1", "Accuracy", "fc label"),
        (["data", "fc"], ["data"], ["fc"]),
    ),
    "worked_labels": (
        image(2, 2, name="label")
        + DATA
        + SCORES
        + layer("cut", "Slice", "label", "l1 l2", "slice_param { axis: 1 }")
        + layer("quiet", "Silence", "l2", "").replace('top: "quiet"', "")
        + layer("loss", "SoftmaxWithLoss", "fc l1"),
        (["data", "fc", "prob"], ["data"], ["prob"]),
    ),
    "deploy_already": (DATA + SCORES, (["data", "fc"], ["data"], ["fc"])),
}


@pytest.mark.parametrize("name", DEPLOYED)
def test_deployed(name: str, tmp_path: Path) -> None:
    text, (layers, inputs, outputs) = DEPLOYED[name]
    deployed = to_deploy(net_of(tmp_path, text))
    assert blobs(deployed) == (layers, inputs, outputs)
    reference_forward(deployed, noise(deployed.inputs))


def test_a_data_layer_becomes_an_input(tmp_path: Path) -> None:
    data = layer(
        "d", "Data", "", "data label", "data_param { batch_size: 4 } transform_param { crop_size: 5 }"
    )
    net = net_of(tmp_path, data + SCORES + layer("loss", "SoftmaxWithLoss", "fc label"))
    deployed = to_deploy(net)
    assert deployed.layers[0].message.type == "Input"
    assert deployed.inputs == {"data": (4, 3, 5, 5)}


def test_loaded_weights_stay_loaded(tmp_path: Path) -> None:
    net = load_again(ReferenceCase(ROOT / "nets" / "lenet_train").load(), "TEST")
    assert to_deploy(net).loaded == net.loaded
    fresh = load_net(net.sources["prototxt"])
    assert to_deploy(fresh).loaded == frozenset()
    assert initial_params(fresh, 0).keys() == fresh.params.keys()


def test_nothing_remains(tmp_path: Path) -> None:
    net = net_of(tmp_path, image(2, 7) + LABEL + layer("loss", "SoftmaxWithLoss", "data label", "loss"))
    deployed = to_deploy(net)
    assert blobs(deployed) == (["data", "prob"], ["data"], ["prob"])
    bare = net_of(tmp_path, image(2, 7) + image(2, 7, name="x") + layer("loss", "EuclideanLoss", "data x"))
    with pytest.raises(NetError, match="nothing remains"):
        to_deploy(bare)
