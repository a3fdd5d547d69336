"""tinygrad, on the CPU."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.metadata import version as installed
from typing import Any

os.environ.setdefault("DEV", "CPU")
from tinygrad import Tensor
from tinygrad.nn.onnx import OnnxRunner


def version() -> str:
    return installed("tinygrad")


def answers(model: str, inputs: Mapping[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
    found = OnnxRunner(model)({name: Tensor(array) for name, array in inputs.items()})
    return {name: found[name].numpy() for name in outputs}
