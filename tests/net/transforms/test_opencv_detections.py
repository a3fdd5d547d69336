"""Detections for OpenCV: its own operator for OpenCV 4, standard ones for OpenCV 5, the same rows."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from vggrepro.errors import UnsupportedError
from vggrepro.graph.forward import build_deployed
from vggrepro.graph.reference import reference_forward
from vggrepro.graph.targets.convert import Deployment
from vggrepro.net import Net, load_net
from vggrepro.verify.detections import in_the_order_of

TEXT = """name: "d" input: "loc" input_shape {{ dim: {images} dim: {loc} }}
input: "conf" input_shape {{ dim: {images} dim: {conf} }}
input: "prior" input_shape {{ dim: 1 dim: 2 dim: 120 }}
layer {{ name: "det" type: "DetectionOutput" bottom: "loc" bottom: "conf" bottom: "prior" top: "det"
  detection_output_param {{ num_classes: 3 nms_param {{ nms_threshold: 0.45 top_k: 20 }} {param} }} }}"""

PRIORS, CLASSES = 30, 3


def load(folder: Path, param: str, images: int = 1, places: int = 1) -> Net:
    path = folder / "net.prototxt"
    path.write_text(TEXT.format(images=images, loc=PRIORS * 4 * places, conf=PRIORS * CLASSES, param=param))
    return load_net(path)


def feeds(net: Net) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 0.7, (PRIORS, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(0.05, 0.3, (PRIORS, 2))], axis=1)
    scores = np.exp(rng.standard_normal((net.inputs["conf"][0], PRIORS, CLASSES)))
    arrays = {
        "loc": rng.standard_normal(net.inputs["loc"]) / 2,
        "conf": (scores / scores.sum(2, keepdims=True)).reshape(net.inputs["conf"]),
        "prior": np.stack([boxes, np.tile([0.1, 0.1, 0.2, 0.2], (PRIORS, 1))]).reshape(1, 2, -1),
    }
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def opencv(path: Path, arrays: dict[str, np.ndarray], *, classic: bool) -> np.ndarray:
    """What OpenCV gives; OpenCV 5 reads files for OpenCV 4 with its older engine."""
    newer = int(cv2.__version__.split(".")[0]) >= 5
    engine = (cv2.dnn.ENGINE_CLASSIC,) if classic and newer else ()
    net = cv2.dnn.readNetFromONNX(str(path), *engine)
    for name, array in arrays.items():
        net.setInput(cv2.Mat(array), name)
    return net.forward()


def rows_of_opencv(net: Net, arrays: dict[str, np.ndarray], rows: int) -> np.ndarray:
    """The reference's detections, then zeros. Their order is another in OpenCV 4."""
    want = reference_forward(net, arrays)["det"][0, 0]
    top = np.zeros((1, 1, rows, 7))
    found = want[want[:, 1] >= 0]
    top[0, 0, : len(found)] = found
    return top


COMMON = "code_type: CENTER_SIZE"
CASES = [
    ("keep_top_k: 10 confidence_threshold: 0.4", 1, 1, 10),
    ("keep_top_k: 40 confidence_threshold: 0.3", 2, 1, 80),
    ("keep_top_k: 15 confidence_threshold: 0.3 share_location: false", 1, CLASSES, 15),
    ("keep_top_k: 10 confidence_threshold: 0.9999", 2, 1, 20),
    ("keep_top_k: 40 confidence_threshold: 0.3 clip: 1", 2, 1, 80),
]


@pytest.mark.parametrize(("param", "images", "places", "rows"), CASES)
@pytest.mark.parametrize("target", ["opencv4", "opencv5"])
def test_the_rows_are_opencvs(
    tmp_path: Path, target: str, param: str, images: int, places: int, rows: int
) -> None:
    if target == "opencv5" and not cv2.__version__.startswith("5"):
        pytest.skip(f"OpenCV 5 is not installed, but {cv2.__version__}")
    net = load(tmp_path, f"{COMMON} {param}", images, places)
    arrays = feeds(net)
    graph = build_deployed(net, Deployment(target))
    graph.check()
    graph.save(tmp_path / "m.onnx")
    got = opencv(tmp_path / "m.onnx", arrays, classic=target == "opencv4")
    want = rows_of_opencv(net, arrays, rows)
    np.testing.assert_allclose(in_the_order_of(want, got), want, atol=1e-5)
    assert (got[0, 0, (want[0, 0] != 0).any(axis=1).sum() :] == 0).all()  # what is no detection comes last


def test_more_rows_than_there_can_be_detections(tmp_path: Path) -> None:
    net = load(tmp_path, f"{COMMON} keep_top_k: 200")
    graph = build_deployed(net, Deployment("opencv4"))
    (info,) = graph.skeleton.graph.output
    assert [d.dim_value for d in info.type.tensor_type.shape.dim] == [1, 1, 200, 7]
    (node,) = graph.skeleton.graph.node
    assert (node.op_type, node.domain) == ("DetectionOutput", "")
    assert net.outputs["det"] == (1, 1, 40, 7)


@pytest.mark.parametrize(
    ("target", "param", "message"),
    [
        ("opencv4", "code_type: CORNER_SIZE", "code_type CORNER_SIZE is not implemented"),
        ("opencv4", "variance_encoded_in_target: true", "variance_encoded_in_target is not implemented"),
        ("opencv4", "background_label_id: -1", "without a background_label_id is not implemented"),
        ("opencv5", "code_type: CORNER", "boxes without an area"),
        ("opencv5", "code_type: CORNER_SIZE", "boxes without an area"),
    ],
)
def test_what_opencv_cannot_do_is_refused(tmp_path: Path, target: str, param: str, message: str) -> None:
    with pytest.raises(UnsupportedError, match=f"layer 'det': .*{message}"):
        build_deployed(load(tmp_path, f"{param} keep_top_k: 10"), Deployment(target))


def test_polygons_are_refused(tmp_path: Path) -> None:
    net = load(tmp_path, f"{COMMON} use_polygon: true", places=3)  # 12 numbers for 4
    with pytest.raises(UnsupportedError, match=r"layer 'det': .*use_polygon is not implemented"):
        build_deployed(net, Deployment("opencv4"))
