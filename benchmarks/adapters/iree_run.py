"""IREE, which compiles an ONNX file for this processor."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import iree.compiler.tools
import iree.runtime
import numpy as np
import onnx

TARGET = (
    "--iree-hal-target-device=local",
    "--iree-hal-local-target-device-backends=llvm-cpu",
    "--iree-llvmcpu-target-cpu=host",
)


def version() -> str:
    return installed("iree-base-compiler")


def answers(model: str, inputs: Mapping[str, Any], _: Sequence[str]) -> dict[str, Any]:
    graph = onnx.load(model).graph
    with tempfile.TemporaryDirectory() as folder:
        compiled = _compiled(model, Path(folder) / "model.mlir")
    config = iree.runtime.Config("local-task")
    module = iree.runtime.load_vm_module(
        iree.runtime.VmModule.copy_buffer(config.vm_instance, compiled), config
    )
    found = module[graph.name](*(inputs[i.name] for i in graph.input if i.name in inputs))
    results = found if isinstance(found, (list, tuple)) else [found]
    return {o.name: np.asarray(result) for o, result in zip(graph.output, results, strict=True)}


def _compiled(model: str, mlir: Path) -> bytes:
    tool = [sys.executable, "-m", "iree.compiler.tools.import_onnx"]
    done = subprocess.run([*tool, model, "-o", str(mlir)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    try:
        compiled = iree.compiler.tools.compile_file(str(mlir), input_type="onnx", extra_args=TARGET)
    except iree.compiler.tools.CompilerToolError as error:
        (said, *_) = [line for line in str(error).splitlines() if " error: " in line] or ["no reason given"]
        raise RuntimeError(said.rpartition(" error: ")[2]) from error
    assert isinstance(compiled, bytes)
    return compiled
