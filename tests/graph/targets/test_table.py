"""The table of targets: rows that mean real operators, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from net_files import image, layer, net_of

from vggrepro.errors import UnsupportedError
from vggrepro.graph.forward import to_onnx
from vggrepro.graph.targets.table import TARGETS, target_named
from vggrepro.graph.targets.target import Target

KNOWN = {schema.name for schema in onnx.defs.get_all_schemas()}


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda t: t.name)
def test_rows_name_operators_reasons_and_versions(target: Target) -> None:
    assert {lack.operator for lack in target.lacks} <= KNOWN
    assert (target.operators or frozenset()) <= KNOWN
    assert all(lack.reason and lack.seen for lack in target.lacks)


def test_what_was_not_run_says_so() -> None:
    assert {name for name, target in TARGETS.items() if "nothing was run" in target.note} == {
        "tensorrt",
        "web",
    }


def test_an_unknown_target() -> None:
    with pytest.raises(UnsupportedError, match="target 'caffe': expected one of onnxruntime, opencv5"):
        target_named("caffe")


def nodes(tmp_path: Path, text: str, target: str) -> list[str]:
    return [node.op_type for node in to_onnx(net_of(tmp_path, text), target=target).graph.node]


POINT = "convolution_param { num_output: 2 kernel_size: 1 pad: 1 }"
CEILED = "pooling_param { kernel_size: 3 stride: 2 }"
AVERAGE = "pooling_param { pool: AVE kernel_size: 3 pad: 1 }"


@pytest.mark.parametrize(
    ("text", "target", "want"),
    [
        (layer("c", "Convolution", "data", more=POINT), "onnxruntime", ["Conv"]),
        (layer("c", "Convolution", "data", more=POINT), "opencv5", ["Pad", "Conv"]),
        (layer("p", "Pooling", "data", more=AVERAGE), "opencv5", ["AveragePool"]),
        (layer("p", "Pooling", "data", more=AVERAGE), "opencv4", ["Pad", "AveragePool"]),
        (layer("s", "Sigmoid", "data"), "onnxruntime", ["Neg", "Exp", "Add", "Reciprocal"]),
        (layer("s", "Sigmoid", "data"), "openvino", ["Sigmoid"]),
        (layer("s", "Softmax", "data"), "web", ["Softmax"]),
        (layer("n", "LRN", "data"), "tensorrt", ["LRN"]),
        (layer("t", "Tile", "data", more="tile_param { tiles: 2 }"), "opencv4", ["Concat"]),
        (layer("l", "Log", "data"), "opencv5", ["Add", "Log"]),
        (layer("p", "Pooling", "data", more=CEILED), "web", ["MaxPool"]),
        (layer("p", "Pooling", "data", more=CEILED), "ncnn", ["Pad", "MaxPool"]),
        (
            layer("p", "Pooling", "data", more=CEILED.replace("{", "{ pool: AVE")),
            "ncnn",
            ["Pad", "AveragePool", "Mul"],
        ),
        (layer("t", "Tile", "data", more="tile_param { tiles: 2 }"), "ncnn", ["Concat"]),
        (layer("s", "Reduction", "data", more="reduction_param { axis: -1 }"), "ncnn", ["ReduceMean", "Mul"]),
        (
            layer("s", "ShuffleChannel", "data", more="shuffle_channel_param { group: 2 }"),
            "opencv5",
            ["Gather"],
        ),
        (
            layer("s", "ShuffleChannel", "data", more="shuffle_channel_param { group: 2 }"),
            "openvino",
            ["Split", "Concat"],
        ),
        (
            layer("s", "ShuffleChannel", "data", more="shuffle_channel_param { group: 2 }"),
            "opencv4",
            ["Reshape", "Transpose", "Reshape"],
        ),
    ],
)
def test_forms(tmp_path: Path, text: str, target: str, want: list[str]) -> None:
    assert nodes(tmp_path, image(1, 4, 6, 6) + text, target) == want


@pytest.mark.parametrize(
    ("text", "target", "message"),
    [
        (
            layer("a", "ArgMax", "data"),
            "opencv4",
            "layer 'a': operator TopK is not in OpenCV 4, or not in all its versions",
        ),
        (
            layer(
                "d", "Deconvolution", "data", more="convolution_param { num_output: 2 kernel_size: 1 pad: 1 }"
            ),
            "opencv4",
            "layer 'd': operator ConvTranspose for OpenCV 4: dropping a whole kernel at an end crashes"
            " (seen on OpenCV 4.8 to 4.14)",
        ),
        (
            image(4, name="keep") + layer("f", "Filter", "data keep"),
            "tensorrt",
            "layer 'f': operator Compress for TensorRT: does not exist",
        ),
        (
            layer("t", "Threshold", "data"),
            "ncnn",
            "layer 't': operator Greater is not in ncnn, or not in all its versions",
        ),
    ],
)
def test_what_a_target_lacks_is_refused_by_name(tmp_path: Path, text: str, target: str, message: str) -> None:
    with pytest.raises(UnsupportedError) as error:
        nodes(tmp_path, image(4, 4, 6, 6) + text, target)
    assert message in str(error.value)
