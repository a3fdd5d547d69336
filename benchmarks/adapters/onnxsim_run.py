"""onnxsim, whose simplified model runs in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version as installed
from typing import Any

import onnx
import onnxruntime
from onnxsim import simplify


def version() -> str:
    return installed("onnxsim")


def answers(model: str, inputs: Mapping[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
    simpler, same = simplify(onnx.load(model))
    if not same:
        raise RuntimeError("onnxsim says that the simplified model differs")
    session = onnxruntime.InferenceSession(simpler.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip(outputs, session.run(list(outputs), dict(inputs)), strict=True))
