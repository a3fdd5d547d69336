"""A tool that writes ONNX from Caffe's files, by the command that its documentation gives, and ONNX Runtime.

The tool is the one of ``COMMANDS`` that the interpreter has.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from caffe_files import PROTOTXT, WEIGHTS, paired, run_tool
from pkg_resources import DistributionNotFound, get_distribution  # Python 3.7 has no importlib.metadata

COMMANDS = {
    "caffe2onnx": "{python} -m caffe2onnx.convert --prototxt {net} --caffemodel {weights} --onnx {written}",
    "caffe-onnx": "{bin}/caffe2onnx {net} {weights} model {folder}",
    "mmdnn": "{bin}/mmconvert -sf caffe -in {net} -iw {weights} -df onnx -om {written}",
}


def tool() -> str:
    """The tool's name."""
    for name in COMMANDS:
        try:
            get_distribution(name)
        except DistributionNotFound:
            continue
        return name
    raise ImportError(f"none of {', '.join(COMMANDS)} is installed")


def version() -> str:
    return f"{get_distribution(tool()).version} (onnx {get_distribution('onnx').version})"


def answers(model: str, inputs: Mapping[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "model.onnx"
        words = {"net": f"{model}/{PROTOTXT}", "weights": f"{model}/{WEIGHTS}", "folder": folder}
        words.update(written=str(written), python=sys.executable, bin=str(Path(sys.executable).parent))
        run_tool([part.format(**words) for part in COMMANDS[tool()].split()], folder, written)
        session = onnxruntime.InferenceSession(str(written), providers=["CPUExecutionProvider"])
    last = tool() == "mmdnn"
    constants = {entry.name for entry in session.get_overridable_initializers()}
    ports = {entry.name: entry.shape for entry in session.get_inputs() if entry.name not in constants}
    names = paired(model, "inputs", list(ports))
    feeds = {names[blob]: _channels_last(array) if last else array for blob, array in inputs.items()}
    of = paired(model, "outputs", [entry.name for entry in session.get_outputs()])
    return dict(zip(outputs, session.run([of[blob] for blob in outputs], feeds)))  # noqa: B905 - Python 3.7


def _channels_last(array: Any) -> Any:
    """Inputs as MMdnn's models take them: (N, H, W, C)."""
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1)) if array.ndim == 4 else array
