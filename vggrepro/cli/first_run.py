"""What a user does with a converted model first: run it, and have it compared if that was not done."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path


def first_run(path: Path, target: str, inputs: Sequence[str], *, verified: bool) -> str:
    """One line: the call that runs the model at ``path`` in its ``target``, where the ``inputs`` are fed; and
    the option that compares it, unless it was ``verified``."""
    call = _call(str(path), target, inputs)
    return f"run it: {call}" if verified else f"run it: {call}; --verify compares it with a float64 reference"


def _call(path: str, target: str, inputs: Sequence[str]) -> str:
    if target in ("opencv4", "opencv5"):
        return f"cv2.dnn.readNetFromONNX({path!r})"
    if target == "openvino":
        return f"openvino.Core().compile_model({path!r}, 'CPU')"
    if target == "tensorrt":
        return f"trtexec --onnx={shlex.quote(path)}"
    if target == "ncnn":
        return f"pnnx {shlex.quote(path)} fp16=0"
    if target == "web":
        return f"ort.InferenceSession.create({path!r})"
    fed = ", ".join(f"{name!r}: array" for name in inputs)
    return f"onnxruntime.InferenceSession({path!r}).run(None, {{{fed}}})"
