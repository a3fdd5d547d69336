"""The line that says how to run a converted model."""

from pathlib import Path

import pytest

from vggrepro.cli.first_run import first_run
from vggrepro.cli.options.deployment import TARGET_NAMES

CALLS = {
    "onnxruntime": "onnxruntime.InferenceSession('a b.onnx').run(None, {'x': array, 'y': array})",
    "opencv4": "cv2.dnn.readNetFromONNX('a b.onnx')",
    "opencv5": "cv2.dnn.readNetFromONNX('a b.onnx')",
    "openvino": "openvino.Core().compile_model('a b.onnx', 'CPU')",
    "tensorrt": "trtexec --onnx='a b.onnx'",
    "ncnn": "pnnx 'a b.onnx' fp16=0",
    "web": "ort.InferenceSession.create('a b.onnx')",
}


@pytest.mark.parametrize("target", TARGET_NAMES)
def test_every_target_has_its_call(target: str) -> None:
    shown = first_run(Path("a b.onnx"), target, ["x", "y"], verified=True)
    assert shown == f"run it: {CALLS[target]}"


def test_a_model_that_was_not_verified_can_be() -> None:
    shown = first_run(Path("m.onnx"), "web", ["x"], verified=False)
    assert shown.endswith("; --verify compares it with a float64 reference")
