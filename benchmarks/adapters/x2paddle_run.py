"""X2Paddle, which turns Caffe's files into a PaddlePaddle model, and PaddlePaddle on the CPU.

Each net has a process of its own, because X2Paddle imports the Python code that it writes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version as installed
from multiprocessing import get_context
from typing import Any

import numpy as np
import paddle
from caffe_files import PROTOTXT, WEIGHTS, paired
from x2paddle.convert import caffe2paddle


def version() -> str:
    return f"{installed('x2paddle')} (paddlepaddle {installed('paddlepaddle')})"


def answers(model: str, inputs: Mapping[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
    with ProcessPoolExecutor(1, get_context("fork")) as pool:
        return pool.submit(_answers, model, dict(inputs), list(outputs)).result()


def _answers(model: str, inputs: Mapping[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        try:
            caffe2paddle(f"{model}/{PROTOTXT}", f"{model}/{WEIGHTS}", folder, None, disable_feedback=True)
        except SystemExit as error:
            raise RuntimeError(f"X2Paddle ends with exit code {error.code}") from error
        paddle.enable_static()
        executor = paddle.static.Executor(paddle.CPUPlace())
        stem = f"{folder}/inference_model/model"
        program, feeds, fetches = paddle.static.load_inference_model(stem, executor)
    names = paired(model, "inputs", list(feeds))
    of = paired(model, "outputs", [fetch.name for fetch in fetches])
    found = executor.run(program, feed={names[b]: array for b, array in inputs.items()}, fetch_list=fetches)
    arrays = {fetch.name: np.asarray(array) for fetch, array in zip(fetches, found, strict=True)}
    return {blob: arrays[of[blob]] for blob in outputs}
