"""ncnn, for which pnnx writes an ONNX file, with weights in float32."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import distribution
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import ncnn
import numpy as np

PNNX = Path(str(distribution("pnnx").locate_file("pnnx/pnnx")))
"""The program itself: the command of that name imports PyTorch first."""


def version() -> str:
    return installed("ncnn").removeprefix("1.0.")


def answers(model: str, inputs: Mapping[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "model.onnx"
        written.symlink_to(Path(model).absolute())
        shapes = ",".join(f"[{','.join(map(str, array.shape))}]f32" for array in inputs.values())
        command = [str(PNNX), str(written), f"inputshape={shapes}", "fp16=0"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode or not (parameters := Path(folder) / "model.ncnn.param").exists():
            raise RuntimeError(f"pnnx ended with {done.returncode}: {_complaint(done.stderr)}")
        network = ncnn.Net()
        network.opt.num_threads = 1
        network.opt.use_fp16_packed = network.opt.use_fp16_storage = network.opt.use_fp16_arithmetic = False
        if network.load_param(str(parameters)) or network.load_model(str(parameters.with_suffix(".bin"))):
            raise RuntimeError(f"ncnn does not load what pnnx wrote: {_complaint(done.stderr)}")
        script = (Path(folder) / "model_ncnn.py").read_text()
    return _run(network, inputs, outputs, script)


IMAGES = re.compile(r"\b(in\d+|out\d+)\.numpy\((?:\), )?batch_index=(\d+)\)")
"""In the script that pnnx writes: a port, and which of its axes counts the images."""


def _run(network: Any, inputs: Mapping[str, Any], outputs: Sequence[str], script: str) -> dict[str, Any]:
    axes = {port: int(axis) for port, axis in IMAGES.findall(script)}
    extractor = network.create_extractor()
    for place, array in enumerate(inputs.values()):
        batched = {"batch_index": axes[f"in{place}"]} if f"in{place}" in axes else {}
        extractor.input(f"in{place}", ncnn.Mat(np.ascontiguousarray(array, np.float32), **batched).clone())
    found = {}
    for place, name in enumerate(outputs):
        code, result = extractor.extract(f"out{place}")
        if code:
            raise RuntimeError(f"ncnn cannot compute {name!r}")
        batched = {"batch_index": axes[f"out{place}"]} if f"out{place}" in axes else {}
        found[name] = np.array(result.numpy(**batched))
    return found


def _complaint(words: str) -> str:
    """The lines that speak of what is not there."""
    lines = [line for line in words.splitlines() if "onnxruntime:" not in line]
    return "; ".join([line.strip() for line in lines if re.search("support|ignore|error|fail", line)][:3])
