"""X2Paddle, which turns Caffe's files into a PaddlePaddle model, and PaddlePaddle on the CPU."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from caffe_files import PROTOTXT, WEIGHTS, paired, run_tool


def version() -> str:
    return f"{installed('x2paddle')} (paddlepaddle {installed('paddlepaddle')})"


def answers(model: str, inputs: Mapping[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
    paddle.enable_static()
    executor = paddle.static.Executor(paddle.CPUPlace())
    with tempfile.TemporaryDirectory() as folder:
        command = [
            str(Path(sys.executable).parent / "x2paddle"),
            "--framework=caffe",
            f"--save_dir={folder}/pd",
        ]
        command += [f"--prototxt={model}/{PROTOTXT}", f"--weight={model}/{WEIGHTS}"]
        stem = Path(folder) / "pd" / "inference_model" / "model"
        run_tool(command, folder, stem.with_suffix(".pdmodel"))
        program, feeds, fetches = paddle.static.load_inference_model(str(stem), executor)
    names = paired(model, "inputs", list(feeds))
    of = paired(model, "outputs", [fetch.name for fetch in fetches])
    found = executor.run(program, feed={names[b]: array for b, array in inputs.items()}, fetch_list=fetches)
    arrays = {fetch.name: np.asarray(array) for fetch, array in zip(fetches, found, strict=True)}
    return {blob: arrays[of[blob]] for blob in outputs}
