"""``cv2.dnn.readNetFromCaffe`` and ``cv2.dnn.readNet`` where OpenCV has no importer of Caffe's files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import vggrepro
from vggrepro.errors import ParseError, UnsupportedError
from vggrepro.net.fork_rules import ForkRules
from vggrepro.opencv import install, readNetFromCaffe
from vggrepro.opencv.imported_net import ImportedNet

NEEDS_5 = pytest.mark.skipif(int(cv2.__version__.split(".")[0]) < 5, reason="OpenCV 4 has an importer")

LACKING = ("DNN_BACKEND_HALIDE", "DNN_LAYOUT_NCHW", "DNN_LAYOUT_NHWC", "shrinkCaffeModel")
MODELS = ("Model", "ClassificationModel", "DetectionModel", "KeypointsModel", "SegmentationModel")

PROTOTXT = """input: "data" input_shape { dim: 1 dim: 2 }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 3 } }
"""


def opencvs_own(found: Any) -> Any:
    """What OpenCV has of a name, also where a script that ran before has installed ours."""
    return getattr(found, "__wrapped__", found)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    for name in ("readNet", *MODELS):
        monkeypatch.setattr(cv2.dnn, name, opencvs_own(getattr(cv2.dnn, name)))
    for name in ("dnn_registerLayer", "dnn_unregisterLayer", *(f"dnn_{kind}" for kind in MODELS)):
        monkeypatch.setattr(cv2, name, opencvs_own(getattr(cv2, name)))
    for name in LACKING:
        monkeypatch.setattr(cv2.dnn, name, None, raising=False)
    monkeypatch.setattr(cv2.dnn, "readNetFromCaffe", None, raising=False)
    (tmp_path / "ip.prototxt").write_text(PROTOTXT)
    net = vggrepro.load_net(tmp_path / "ip.prototxt")
    net = net.with_params({"ip:0": np.arange(6, dtype=np.float32).reshape(3, 2)})
    vggrepro.save_weights(net, tmp_path / "ip.caffemodel")
    return str(tmp_path / "ip.prototxt"), str(tmp_path / "ip.caffemodel")


def answer(net: ImportedNet) -> list[float]:
    net.setInput(np.array([[1, 10]], np.float32))
    return list(net.forward().ravel())


@NEEDS_5
def test_files_in_every_order_and_as_bytes(files: tuple[str, str]) -> None:
    install()
    prototxt, weights = files
    text, blobs = (np.frombuffer(Path(file).read_bytes(), np.uint8) for file in files)
    text_file = str(Path(prototxt).rename(f"{prototxt}.txt"))  # a name that many published definitions have
    Path(prototxt).write_bytes(bytes(text))
    dnn: Any = cv2.dnn
    for net in (
        dnn.readNetFromCaffe(prototxt, weights),
        dnn.readNetFromCaffe(prototxt=Path(prototxt), caffeModel=weights),
        dnn.readNetFromCaffe(text, blobs),
        dnn.readNetFromCaffe(bytes(text), bytes(blobs)),
        dnn.readNetFromCaffe(bufferProto=text, bufferModel=blobs),
        dnn.readNet(weights, prototxt),
        dnn.readNet(prototxt, weights),
        dnn.readNet(text_file, weights),
        dnn.readNet(model=weights, config=prototxt, framework="caffe"),
        dnn.readNet("Caffe", blobs, text),
        dnn.readNet(framework="caffe", bufferModel=blobs, bufferConfig=text),
    ):
        assert answer(net) == [10, 32, 54]
    assert dnn.readNet(prototxt).getLayerNames() == ("ip",)


@NEEDS_5
def test_models_of_caffes_files_and_of_others(files: tuple[str, str], tmp_path: Path) -> None:
    prototxt, weights = files
    model = vggrepro.to_onnx(vggrepro.load_net(*files), target="opencv5")
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    own = {name: getattr(cv2.dnn, name) for name in MODELS}
    install()
    dnn: Any = cv2.dnn
    for name in MODELS:
        assert getattr(cv2, f"dnn_{name}") is getattr(dnn, name)
        for found in (
            getattr(dnn, name)(weights, prototxt),
            getattr(dnn, name)(model=prototxt, config=weights),
            getattr(dnn, name)(dnn.readNetFromCaffe(*files)),
            getattr(dnn, name)(network=dnn.readNetFromCaffe(*files)),
        ):
            assert type(found).__name__ == name and not isinstance(found, own[name])
        if name == "DetectionModel":  # OpenCV 5 refuses a net without detections at once
            continue
        assert isinstance(getattr(dnn, name)(str(tmp_path / "m.onnx")), own[name])
        assert isinstance(getattr(dnn, name)(cv2.dnn.readNet(str(tmp_path / "m.onnx"))), own[name])


@NEEDS_5
def test_installed_twice_it_stands_on_opencv_and_not_on_itself(files: tuple[str, str]) -> None:
    own = cv2.dnn.readNet
    install()
    install()
    once: Any = cv2.dnn
    assert once.readNet.__wrapped__ is own
    assert isinstance(once.DetectionModel.__wrapped__, type)
    assert answer(once.readNet(*files)) == [10, 32, 54]


@NEEDS_5
def test_registered_layers_are_opencvs_too(files: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(cv2, "dnn_registerLayer", lambda *given: told.append(given))
    monkeypatch.setattr(cv2, "dnn_unregisterLayer", lambda *given: told.append(given))
    install()
    whole: Any = cv2
    whole.dnn_registerLayer("InnerProduct", Zeros)
    net = whole.dnn.readNetFromCaffe(*files)
    whole.dnn_unregisterLayer("InnerProduct")
    assert answer(net) == [0, 0] and answer(whole.dnn.readNetFromCaffe(*files)) == [10, 32, 54]
    assert told == [("InnerProduct", Zeros), ("InnerProduct",)]


@NEEDS_5
def test_names_that_opencv_5_lacks(files: tuple[str, str]) -> None:
    for name in LACKING:
        delattr(cv2.dnn, name)
    install()
    dnn: Any = cv2.dnn
    assert (dnn.DNN_BACKEND_HALIDE, dnn.DNN_LAYOUT_NCHW, dnn.DNN_LAYOUT_NHWC) == (1, 2, 4)
    with pytest.raises(UnsupportedError, match=r"^cv2\.dnn\.shrinkCaffeModel: not here; .* --fp16 "):
        dnn.shrinkCaffeModel(files[1], "small.caffemodel")


class Zeros:
    def __init__(self, params: Any, blobs: Any) -> None:
        pass

    def getMemoryShapes(self, inputs: Any) -> Any:
        return inputs

    def forward(self, inputs: Any) -> Any:
        return [0 * inputs[0]]


@NEEDS_5
def test_files_of_others_are_opencvs(files: tuple[str, str], tmp_path: Path) -> None:
    own = cv2.dnn.readNet
    model = vggrepro.to_onnx(vggrepro.load_net(*files), target="opencv5")
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    install()
    assert cv2.dnn.readNet is not own
    assert isinstance(cv2.dnn.readNet(str(tmp_path / "m.onnx")), cv2.dnn.Net)
    with pytest.raises(cv2.error):
        cv2.dnn.readNet("none.pb")


def test_opencv_4_keeps_its_own(files: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "__version__", "4.14.0")
    own = cv2.dnn.readNet
    install()
    assert cv2.dnn.readNet is own and vars(cv2.dnn)["readNetFromCaffe"] is None


def test_rules_for_forks_are_heeded(tmp_path: Path) -> None:
    path = tmp_path / "own.prototxt"
    path.write_text(PROTOTXT.replace('top: "ip"', 'top: "ip" own_field: 1'))
    with pytest.raises(ParseError, match="own_field"):
        readNetFromCaffe(path)
    with pytest.warns(UserWarning, match="own_field"):
        net = readNetFromCaffe(path, rules=ForkRules(allow_unknown=True))
    assert net.getLayerNames() == ("ip",)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    for missing in ((str(tmp_path / "no.prototxt"), ""), (str(tmp_path / "no.prototxt"), "no.caffemodel")):
        with pytest.raises(ParseError, match=r"no\.prototxt: No such file"):
            readNetFromCaffe(*missing)
