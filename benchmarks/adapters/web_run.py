"""ONNX Runtime Web under Node.js, in WebAssembly: what browsers run.

The folder with ``node_modules/onnxruntime-web`` is told by the environment variable ``WEB_MODULES``.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

FOLDER = Path(os.environ.get("WEB_MODULES", "."))
SCRIPT = Path(__file__).with_name("web_run.mjs")


def version() -> str:
    package = FOLDER / "node_modules" / "onnxruntime-web" / "package.json"
    return str(json.loads(package.read_text())["version"])


def answers(
    model: str, inputs: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str]
) -> dict[str, npt.NDArray[Any]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        entries = []
        for index, (key, array) in enumerate(inputs.items()):
            path = folder / f"{index}.bin"
            path.write_bytes(np.ascontiguousarray(array, np.float32).tobytes())
            entries.append({"name": key, "dims": list(array.shape), "file": str(path)})
        plan = {"modules": str(FOLDER), "model": model, "inputs": entries, "folder": name}
        (folder / "plan.json").write_text(json.dumps(plan))
        done = subprocess.run(
            ["node", str(SCRIPT), str(folder / "plan.json")], capture_output=True, text=True, check=False
        )
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if "rror:" in line and len(line) < 1000]
            raise RuntimeError(lines[-1] if lines else done.stderr[-500:])
        found = json.loads((folder / "answers.json").read_text())
        return {
            entry["name"]: np.fromfile(entry["file"], np.dtype(entry["type"])).reshape(entry["dims"])
            for entry in found
            if entry["name"] in outputs
        }
