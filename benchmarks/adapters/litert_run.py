"""LiteRT, for which onnx2tf writes an ONNX file, on the CPU."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from ai_edge_litert.interpreter import Interpreter


def version() -> str:
    return f"{installed('ai-edge-litert')} behind onnx2tf {installed('onnx2tf')}"


def answers(model: str, inputs: Mapping[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
    network = Interpreter(model_content=_converted(model, list(inputs)), num_threads=1)
    network.allocate_tensors()
    for port in network.get_input_details():
        network.set_tensor(port["index"], inputs[_named(port, inputs)].astype(port["dtype"]))
    network.invoke()
    found = {
        _named(port, outputs): network.get_tensor(port["index"]) for port in network.get_output_details()
    }
    declared = onnx.load(model, load_external_data=False).graph.output
    sizes = {o.name: [d.dim_value for d in o.type.tensor_type.shape.dim] for o in declared}
    return {name: _channels_first(found[name], sizes[name]) for name in outputs}


def _named(port: Mapping[str, Any], names: Iterable[str]) -> str:
    """The name in the ONNX file of which the port's was made: some characters become others."""
    plain = re.compile(r"[\W_]")
    return next(name for name in names if plain.sub("", name) == plain.sub("", port["name"]))


def _converted(model: str, inputs: Sequence[str]) -> bytes:
    """The file that onnx2tf makes, whose inputs keep their axes."""
    with tempfile.TemporaryDirectory() as folder:
        kept = ["--keep_shape_absolutely_input_names", *inputs] if inputs else []
        files = ["-i", str(Path(model).absolute()), "-o", folder]
        command = [sys.executable, "-m", "onnx2tf", *files, "--copy_onnx_input_output_names_to_tflite", *kept]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        written = next(Path(folder).glob("*_float32.tflite"), None)
        if written is None:
            said = [line for line in (done.stdout + done.stderr).splitlines() if "rror" in line]
            raise RuntimeError(said[-1] if said else f"onnx2tf ended with {done.returncode}")
        return written.read_bytes()


def _channels_first(array: Any, sizes: list[int]) -> Any:
    """An output with the axes of the ONNX file: onnx2tf leaves some outputs with their channels last."""
    moved = np.moveaxis(array, -1, 1) if array.ndim > 2 else array
    if list(array.shape) == list(moved.shape) == sizes and max(sizes[1:], default=1) > 1 < array.ndim - 1:
        raise RuntimeError(f"an output of {sizes}: the sizes do not tell where the channels are")
    return moved if list(moved.shape) == sizes else array
