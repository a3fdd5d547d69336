"""OpenCV 4's Net of Caffe's files on the installed OpenCV: what old scripts ask of it, and what they get."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from opencv_layouts import write_layout

from vggrepro.data.opencv import is_opencv5
from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.graph import model
from vggrepro.graph.reference import reference_forward
from vggrepro.net import load_net, save_weights
from vggrepro.net.transforms.opencv_names import with_opencv_names
from vggrepro.opencv import readNetFromCaffe
from vggrepro.opencv.imported_net import ImportedNet

PROTOTXT = """
input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 4 kernel_size: 3 pad: 1 } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1"
  pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "fc" type: "InnerProduct" bottom: "pool1" top: "fc" inner_product_param { num_output: 5 } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
layer { name: "side" type: "Sigmoid" bottom: "fc" top: "side" }
"""

X = np.random.default_rng(1).standard_normal((1, 3, 8, 8)).astype(np.float32)

OPENCV4 = os.environ.get("OPENCV4_PYTHON", "")


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    prototxt, weights = str(tmp_path / "net.prototxt"), str(tmp_path / "net.caffemodel")
    Path(prototxt).write_text(PROTOTXT)
    net, rng = load_net(prototxt), np.random.default_rng(0)
    params = {key: rng.standard_normal(array.shape).astype(np.float32) for key, array in net.params.items()}
    save_weights(net.with_params(params), weights)
    return prototxt, weights


@pytest.fixture
def net(files: tuple[str, str]) -> ImportedNet:
    return readNetFromCaffe(*files)


def reference(files: tuple[str, str], x: np.ndarray) -> dict[str, np.ndarray]:
    return dict(
        reference_forward(with_opencv_names(load_net(*files)).reshape({"data": x.shape}), {"data": x})
    )


def assert_near(got: np.ndarray, want: np.ndarray) -> None:
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4 * abs(want).max())


def test_weights_that_one_file_cannot_hold(
    files: tuple[str, str], net: ImportedNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They lie beside the model, which OpenCV reads from 5 on."""
    monkeypatch.setattr(model, "_MOST", 2000)
    net.setInput(X)
    if is_opencv5(cv2):
        assert_near(net.forward("prob"), reference(files, X)["prob"])
    else:
        with pytest.raises(UnsupportedError):
            net.forward("prob")


def test_every_layer_answers_by_its_name(files: tuple[str, str], net: ImportedNet) -> None:
    net.setInput(X)
    want = reference(files, X)
    for name in net.getLayerNames():
        assert_near(net.forward(name), want[name])
    assert want["conv1"].min() < 0 <= want["relu1"].min()  # in place in the file, apart here
    assert_near(net.forward(), want["side"])
    assert_near(net.forward([])[0], want["side"])
    both = net.forward(["prob", "relu1"])
    assert_near(both[0], want["prob"])
    assert_near(both[1], want["relu1"])


def test_names_and_numbers_are_opencvs(net: ImportedNet) -> None:
    assert net.getLayerNames() == ("conv1", "relu1", "pool1", "fc", "prob", "side")
    assert [net.getLayerId(name) for name in ("_input", "conv1", "side", "nobody")] == [0, 1, 6, -1]
    assert net.getUnconnectedOutLayersNames() == ("prob", "side")
    assert net.getUnconnectedOutLayers().tolist() == [5, 6]
    assert (
        net.getLayersCount("ReLU") == net.getLayersCount("__NetInputLayer__") == 1
        and "__NetInputLayer__" in net.getLayerTypes()
    )
    assert (net.getLayer(4).name, net.getLayer("fc").type, net.getLayer(0).blobs) == (
        "fc",
        "InnerProduct",
        [],
    )
    assert not net.empty()


@pytest.mark.filterwarnings("error")
def test_inputs_are_scaled_as_they_are_set(files: tuple[str, str], net: ImportedNet) -> None:
    pixels = np.random.default_rng(2).integers(0, 255, (2, 3, 8, 8)).astype(np.uint8)
    net.setInput(pixels, "data", 0.5, (1, 2, 3))
    scaled = (pixels - np.array([1, 2, 3], np.float32).reshape(3, 1, 1)) * np.float32(0.5)
    assert_near(net.forward("conv1"), reference(files, scaled)["conv1"])
    net.setInput(pixels, "", 1.0, 7)  # as OpenCV reads one number: of the first channel
    first = pixels - np.array([7, 0, 0], np.float32).reshape(3, 1, 1)
    assert_near(net.forward("conv1"), reference(files, first)["conv1"])
    net.setInput(pixels)
    assert_near(net.forward("conv1"), reference(files, pixels.astype(np.float32))["conv1"])


def test_calls_as_old_scripts_write_them(net: ImportedNet) -> None:
    net.setInput(X)
    both = net.forward(outBlobNames=["prob", "relu1"])
    assert isinstance(both, tuple) and len(both) == 2
    for name, blob, (inner,) in zip(
        ("prob", "relu1"), both, net.forwardAndRetrieve(["prob", "relu1"]), strict=True
    ):
        np.testing.assert_array_equal(blob, net.forward(outputName=name))
        np.testing.assert_array_equal(blob, inner)
    first = net.getLayer(0)
    assert [first.outputNameToIndex(name) for name in ("data", "im_info")] == [0, -1]
    assert net.getLayer("fc").outputNameToIndex("im_info") == 0
    net.setHalideScheduler("none")


def test_shapes_of_all_layers(net: ImportedNet) -> None:
    for given in ((2, 3, 8, 8), [[2, 3, 8, 8]]):
        numbers, bottoms, tops = net.getLayersShapes(given)
        assert numbers.tolist() == [*range(7)]
        assert [shape.tolist() for (shape,) in bottoms][:3] == [[2, 3, 8, 8], [2, 3, 8, 8], [2, 4, 8, 8]]
        assert [shape.tolist() for (shape,) in tops][3:5] == [[2, 4, 4, 4], [2, 5]]


def test_detections_come_as_from_opencv_4(tmp_path: Path) -> None:
    net = readNetFromCaffe(*write_layout(tmp_path, "MobileNetSSD_deploy"))
    frame = np.random.default_rng(0).uniform(-100, 100, (1, 3, 300, 300)).astype(np.float32)
    net.setInput(frame)
    rows = net.forward()[0, 0]
    assert len({*rows[:, 1]}) > 1 and (np.diff(rows[:, 2]) <= 0).all() and rows[0, 2] > 0


def test_what_is_not_here_is_refused_by_name(net: ImportedNet) -> None:
    with pytest.raises(
        UnsupportedError, match=r"^cv2.dnn.Net.dump: not for nets of .*; vggrepro inspect-net"
    ):
        net.dump()
    with pytest.raises(UnsupportedError, match=r"cv2\.dnn\.Net\.forwardAsync: "):
        net.forwardAsync()
    with pytest.raises(AttributeError, match="nobody"):
        _ = net.nobody


def test_sizes_change_from_call_to_call(files: tuple[str, str], net: ImportedNet) -> None:
    net.setInput(X)
    first = net.forward("pool1")
    two = np.concatenate([X, -X])
    net.setInput(two)
    assert_near(net.forward(), reference(files, two)["side"])
    net.setInput(X[:, :, :4])  # no size for the fully connected layer, but one for what comes before
    lower = net.forward("pool1")
    assert lower.shape == (1, 4, 2, 4)
    assert_near(lower[:, :, :1], first[:, :, :1])  # the second row sees the border now
    with pytest.raises(ShapeError, match="fc"):
        net.forward()
    net.setInput(X)
    assert_near(net.forward("pool1"), first)


def test_weights_that_are_set_count(files: tuple[str, str], net: ImportedNet) -> None:
    net.setInput(X)
    before = net.forward("fc")
    layer = net.getLayer("fc")
    layer.blobs = [2 * layer.blobs[0], layer.blobs[1].reshape(1, 5)]
    assert_near(net.forward("fc"), 2 * before - layer.blobs[1])
    net.setParam("fc", 1, np.zeros(5, np.float32))
    assert_near(net.forward("fc"), 2 * (before - load_net(*files).params["fc:1"]))
    assert net.getParam(4, 1).tolist() == [[0] * 5]
    assert [blob.shape for blob in net.getLayer("conv1").blobs] == [(4, 3, 3, 3), (4, 1)]
    for wrong in ([layer.blobs[0]], [layer.blobs[0], np.zeros(6)]):
        with pytest.raises(NetError, match="layer 'fc'"):
            layer.blobs = wrong


def test_the_published_colorization_gets_its_centres_as_in_old_scripts(tmp_path: Path) -> None:
    prototxt, weights = write_layout(tmp_path, "colorization_v2")
    points = np.random.default_rng(0).uniform(-90, 90, (313, 2)).astype(np.float32)
    net = readNetFromCaffe(prototxt, weights)
    net.getLayer(net.getLayerId("class8_ab")).blobs = [points.transpose().reshape(2, 313, 1, 1)]
    net.getLayer(net.getLayerId("conv8_313_rh")).blobs = [np.full([1, 313], 2.606, "float32")]
    lightness = np.random.default_rng(1).uniform(-50, 50, (1, 1, 224, 224)).astype(np.float32)
    net.setInput(cv2.dnn.blobFromImage(lightness[0, 0]))
    edited = load_net(prototxt, weights).with_params(
        {
            "class8_ab:0": points.T.reshape(2, 313, 1, 1),
            "conv8_313_rh:0": np.full(313, 2.606, np.float32),
        }
    )
    ((name, _),) = edited.inputs.items()
    want = reference_forward(with_opencv_names(edited), {name: lightness})
    assert_near(net.forward(), want["class8_ab"])


def test_what_the_net_does_not_have_is_named(files: tuple[str, str], net: ImportedNet) -> None:
    with pytest.raises(NetError, match=r"^forward: setInput was not called for the input 'data'$"):
        net.forward()
    with pytest.raises(NetError, match=r"^setInput: there is no input 'image'; expected one of \['data'\]$"):
        net.setInput(X, "image")
    net.setInput(X)
    with pytest.raises(NetError, match=r"there is no layer 'relu'.*'relu1'"):
        net.forward("relu")
    with pytest.raises(NetError, match="there is no layer 99 among 6"):
        net.getLayer(99)
    with pytest.raises(NetError, match="has 2 arrays of weights, asked for number 2"):
        net.getParam("fc", 2)
    bare = readNetFromCaffe(files[0])
    bare.setInput(X)
    with pytest.raises(NetError, match=r"^forward: there are no weights for the layer 'conv1'$"):
        bare.forward()


def test_preferences_reach_every_model(net: ImportedNet) -> None:
    net.setInput(X)
    net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    first = net.forward("fc")
    net.setPreferableTarget(cv2.dnn.DNN_TARGET_CPU)
    net.enableFusion(False)
    net.enableWinograd(False)
    assert_near(net.forward("fc"), first)
    assert net.getPerfProfile()[0] > 0


SCRIPT = """
import sys
import cv2, numpy as np
net = cv2.dnn.readNetFromCaffe(sys.argv[1], sys.argv[2])
x = np.load(sys.argv[3])
print(net.getLayerNames(), net.getUnconnectedOutLayersNames(), list(net.getUnconnectedOutLayers()))
found = []
for asked in ((), ("conv1",), ("relu1",), (["fc", "prob"],)):
    net.setInput(np.concatenate([x, x / 2]), "data", 0.5, (1, 2, 3))
    answer = net.forward(*asked)
    found += [answer] if isinstance(answer, np.ndarray) else answer
np.savez(sys.argv[4], *found)
"""


@pytest.mark.skipif(not OPENCV4, reason="OPENCV4_PYTHON names no interpreter with OpenCV 4")
def test_a_script_gives_what_it_gave_with_opencv_4(files: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    np.save(tmp_path / "x.npy", X)
    ours = "import sys; from vggrepro.cli.main import main; sys.exit(main())"
    told = []
    for name, command in {
        "old": [OPENCV4, "script.py"],
        "new": [sys.executable, "-c", ours, "run-pycaffe", "script.py"],
    }.items():
        told.append(
            subprocess.check_output([*command, *files, "x.npy", f"{name}.npz"], cwd=tmp_path, text=True)
        )
    assert told[0] == told[1]
    with np.load(tmp_path / "old.npz") as old, np.load(tmp_path / "new.npz") as new:
        for name in old.files:
            assert_near(new[name], old[name])
