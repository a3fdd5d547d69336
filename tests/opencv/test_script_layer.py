"""Layers by classes of a script, as cv2.dnn_registerLayer takes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vggrepro.errors import NetError, UnknownLayerError, UnsupportedError
from vggrepro.net import load_net, save_weights
from vggrepro.opencv import readNetFromCaffe, script_layer
from vggrepro.opencv.script_layer import ScriptLayer, registerLayer, unregisterLayer

PROTOTXT = """
input: "a" input_shape { dim: 1 dim: 2 dim: 6 dim: 6 }
input: "b" input_shape { dim: 1 dim: 2 dim: 4 dim: 4 }
layer { name: "relu" type: "ReLU" bottom: "a" top: "relu" }
layer { name: "cut" type: "Crop" bottom: "relu" bottom: "b" top: "cut"
  crop_param { axis: 2 offset: 1 offset: 2 } }
layer { name: "twice" type: "Power" bottom: "cut" top: "twice" power_param { scale: 2 } }
layer { name: "sum" type: "Eltwise" bottom: "twice" bottom: "cut" top: "sum" }
"""

A = np.random.default_rng(0).standard_normal((1, 2, 6, 6)).astype(np.float32)
B = np.zeros((1, 2, 4, 4), np.float32)


class Centre:
    """The crop that old scripts for HED register: from the middle, whatever the definition says."""

    made: list[tuple[dict[str, Any], Any]] = []

    def __init__(self, params: dict[str, Any], blobs: Any) -> None:
        self.made.append((params, blobs))

    def getMemoryShapes(self, inputs: list[Any]) -> list[list[int]]:
        whole, wanted = inputs
        self.y, self.x = (whole[2] - wanted[2]) // 2, (whole[3] - wanted[3]) // 2
        self.height, self.width = wanted[2:]
        return [[whole[0], whole[1], wanted[2], wanted[3]]]

    def forward(self, inputs: Any) -> list[np.ndarray]:
        return [inputs[0][:, :, self.y : self.y + self.height, self.x : self.x + self.width]]


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(script_layer, "_CLASSES", {})
    monkeypatch.setattr(Centre, "made", [])
    yield


def answer(path: Path, a: np.ndarray, b: np.ndarray, name: str = "", late: bool = False) -> np.ndarray:
    if not late:
        registerLayer("Crop", Centre)
    net = readNetFromCaffe(path)
    if late:
        registerLayer("Crop", Centre)
    net.setInput(a, "a")
    net.setInput(b, "b")
    found: np.ndarray = net.forward(name)
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "net.prototxt").write_text(PROTOTXT)
    return tmp_path / "net.prototxt"


@pytest.mark.parametrize("late", [False, True])
def test_the_class_computes_the_layer(path: Path, late: bool) -> None:
    """Registered before the net is read or, as scripts do, behind it."""
    want = np.maximum(A, 0)[:, :, 1:5, 1:5]
    np.testing.assert_allclose(answer(path, A, B, late=late), 3 * want, rtol=1e-6)
    assert Centre.made == [({"axis": 2, "offset": (1, 2)}, ())]


@pytest.mark.parametrize("late", [False, True])
def test_inner_blobs_and_other_sizes(path: Path, late: bool) -> None:
    if not late:
        registerLayer("Crop", Centre)
    net = readNetFromCaffe(path)
    registerLayer("Crop", Centre)
    for height, wanted in ((6, 4), (8, 2), (6, 4)):
        a = np.random.default_rng(height).standard_normal((1, 2, height, 7)).astype(np.float32)
        net.setInput(a, "a")
        net.setInput(np.zeros((1, 2, wanted, 4), np.float32), "b")
        start = (height - wanted) // 2
        want = np.maximum(a, 0)[:, :, start : start + wanted, 1:5]
        for found, factor in zip(net.forward(["sum", "cut", "twice"]), (3, 1, 2), strict=True):
            np.testing.assert_allclose(found, factor * want, rtol=1e-6)
    assert len(Centre.made) == 1  # one object for all passes
    assert net.getPerfProfile()[0] > 0


def test_without_a_class_the_definition_counts(path: Path) -> None:
    registerLayer("Crop", Centre)
    unregisterLayer("Crop")
    unregisterLayer("Nobody")
    net = readNetFromCaffe(path)
    net.setInput(A, "a")
    net.setInput(B, "b")
    np.testing.assert_allclose(net.forward("cut"), np.maximum(A, 0)[:, :, 1:5, 2:6])


class Weighted:
    """A layer of a type that nobody knows."""

    shapes: list[Any]

    def __init__(self, params: dict[str, Any], blobs: Any) -> None:
        self.params, self.blobs = params, blobs
        Weighted.shapes = [blob.shape for blob in blobs]

    def getMemoryShapes(self, inputs: list[Any]) -> list[Any]:
        return inputs

    def forward(self, inputs: Any) -> list[np.ndarray]:
        return [inputs[0] * float(self.params["factor"]) + self.blobs[0].reshape(1, -1)]


def test_an_unknown_type_with_its_fields_and_weights(tmp_path: Path) -> None:
    text = """input: "x" input_shape { dim: 1 dim: 2 }
layer { name: "w" type: "%s" bottom: "x" top: "w" %s }
layer { name: "minus" type: "Power" bottom: "w" top: "minus" power_param { scale: -1 } }
"""
    weights, known = tmp_path / "w.caffemodel", tmp_path / "known.prototxt"
    known.write_text(text % ("Bias", ""))
    bias = np.array([7, 9], np.float32)
    save_weights(load_net(known).with_params({"w:0": bias}), weights)
    own = tmp_path / "own.prototxt"
    own.write_text(text % ("Weighted", 'weighted_param { factor: 3 how: "so" }'))
    registerLayer("Weighted", Weighted)
    net = readNetFromCaffe(own, weights)
    net.setInput(np.array([[1, 10]], np.float32))
    assert Weighted.shapes == [(2, 1)]
    assert net.forward().tolist() == [[-10, -39]]
    with pytest.raises(UnsupportedError, match="registered class"):
        ScriptLayer(None, ()).emit(None, (), (), ())  # type: ignore[arg-type]


def test_an_unknown_type_without_a_class(tmp_path: Path) -> None:
    path = tmp_path / "n.prototxt"
    path.write_text(
        'input: "x" input_shape { dim: 1 } layer { name: "w" type: "Weighted" bottom: "x" top: "w" }'
    )
    with pytest.raises(UnknownLayerError, match=r"cv2.dnn_registerLayer\('Weighted', ...\) before the net"):
        readNetFromCaffe(path)


def test_arrays_of_other_shapes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Centre, "forward", lambda _, inputs: [inputs[0]])
    with pytest.raises(
        NetError, match=r"layer 'cut': forward gave arrays \[\(1, 2, 6, 6\)\], getMemoryShapes"
    ):
        answer(path, A, B)
