"""A written ONNX file in ONNX Runtime as any program would run it: on the CPU, with nothing bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt
import onnxruntime


def version() -> str:
    return str(onnxruntime.__version__)


def answers(
    model: str, inputs: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str]
) -> dict[str, npt.NDArray[Any]]:
    """The named outputs for these inputs. Raises ONNX Runtime's own errors for what cannot be run."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return dict(zip(outputs, session.run(list(outputs), dict(inputs)), strict=True))
