"""Labels are checked before a graph runs, whatever graph it is and however it is fed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from net_files import image, layer, net_of

from vggrepro.errors import LabelError
from vggrepro.graph.backward import build_gradient
from vggrepro.graph.forward import build_forward
from vggrepro.graph.reference import reference_forward
from vggrepro.graph.training_step import build_training_step
from vggrepro.graph.validation import build_validation
from vggrepro.net import Net
from vggrepro.runtime.device import Device
from vggrepro.runtime.device_array import DeviceArray, DeviceView
from vggrepro.runtime.session import Session

LOSSES = ["SoftmaxWithLoss", "Accuracy", "MultinomialLogisticLoss", "HingeLoss", "InfogainLoss"]
SCORES = image(5, 4, name="x")
LABEL = image(5, name="y")


def one_loss(tmp_path: Path, kind: str) -> Net:
    matrix = image(1, 1, 4, 4, name="h") if kind == "InfogainLoss" else ""
    bottoms = "x y h" if matrix else "x y"
    return net_of(tmp_path, SCORES + LABEL + matrix + layer("l", kind, bottoms), phase="TRAIN")


def feeds(net: Net, label: float, name: str = "y") -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    arrays = {n: rng.random(shape).astype(np.float32) for n, shape in net.inputs.items()}
    arrays[name] = np.zeros(net.inputs[name], np.float32)
    arrays[name].reshape(-1)[3] = label
    return arrays


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("label", [4, -1, np.nan])
def test_every_layer_with_classes(tmp_path: Path, kind: str, label: float) -> None:
    net = one_loss(tmp_path, kind)
    message = r"^layer 'l': label \S+ in row 3 of blob 'y': expected 0 to 3$"
    graphs = [build_forward(net), build_gradient(net, inputs=["x"]), build_validation(net)]
    if kind != "Accuracy":
        graphs.append(build_training_step(net))
    for graph in graphs:
        session = Session(graph, threads=1)
        session.run(feeds(net, 3))
        with pytest.raises(LabelError, match=message):
            session.run(feeds(net, label))
        bound = session.bind()
        for name, array in feeds(net, label).items():
            bound.feed(name, array)
        with pytest.raises(LabelError, match=message):
            bound.run()
    reference_forward(net, feeds(net, 3))
    with pytest.raises(LabelError, match=message):
        reference_forward(net, feeds(net, label))


def test_a_flag_of_a_pair_is_any_number(tmp_path: Path) -> None:
    text = image(5, 4, name="a") + image(5, 4, name="b") + LABEL
    net = net_of(tmp_path, text + layer("l", "ContrastiveLoss", "a b y"))
    session = Session(build_forward(net), threads=1)
    session.run(feeds(net, 7))
    with pytest.raises(LabelError, match="label nan in row 3 of blob 'y': expected a number"):
        session.run(feeds(net, np.nan))


@pytest.mark.parametrize(
    ("text", "most"),
    [
        (LABEL + layer("e", "Embed", "y", more="embed_param { num_output: 2 input_dim: 6 }"), 5),
        (SCORES + LABEL + layer("b", "BatchReindex", "x y"), 4),
    ],
)
def test_other_indices(tmp_path: Path, text: str, most: int) -> None:
    net = net_of(tmp_path, text)
    session = Session(build_forward(net, fixed=True), threads=1)
    session.run(feeds(net, most))
    with pytest.raises(LabelError, match=f"expected 0 to {most}"):
        session.run(feeds(net, most + 1))


def test_through_layers_that_move_values(tmp_path: Path) -> None:
    """The second of two labels of an example, and a label that is no input's own shape."""
    text = SCORES + image(5, 2, name="y")
    text += layer("s", "Slice", "y", "y0 y1", more="slice_param { axis: 1 }")
    text += layer("f", "Reshape", "y1", more="reshape_param { shape { dim: 5 } }")
    net = net_of(
        tmp_path,
        text + layer("l", "SoftmaxWithLoss", "x f") + layer("q", "Silence", "y0").replace('top: "q"', ""),
    )
    session = Session(build_forward(net), threads=1)
    arrays = feeds(net, 0)
    arrays["y"][:, 0] = 99
    session.run(arrays)
    arrays["y"][2, 1] = 4
    with pytest.raises(LabelError, match="label 4 in row 2 of blob 'f': expected 0 to 3"):
        session.run(arrays)


def test_labels_on_the_device(tmp_path: Path) -> None:
    net = one_loss(tmp_path, "SoftmaxWithLoss")
    bound = Session(build_forward(net, fixed=True), threads=1).bind()
    memory = DeviceArray(8, Device("cpu"))
    memory.write(np.array([9, 9, 9, 0, 0, 0, 4, 0], np.float32))
    bound.feed("x", feeds(net, 0)["x"])
    bound.bind_input("y", DeviceView(memory, 3, (5,)))
    with pytest.raises(LabelError, match="label 4 in row 3"):
        bound.run()


def test_a_number_of_classes_that_is_free(tmp_path: Path) -> None:
    """Classes along an axis that the graph leaves free are as many as the batch has, not as the net."""
    text = image(1, 3, 4, 4, name="x") + image(1, 3, 4, name="y")
    more = "softmax_param { axis: 2 }"
    net = net_of(tmp_path, text + layer("l", "SoftmaxWithLoss", "x y", more=more))
    fixed = Session(build_forward(net, fixed=True), threads=1)
    with pytest.raises(LabelError, match="expected 0 to 3"):
        fixed.run(feeds(net, 4))
