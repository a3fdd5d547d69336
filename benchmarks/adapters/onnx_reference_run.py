"""ONNX's own evaluator in Python, which says what each operator means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx
from onnx.reference import ReferenceEvaluator


def version() -> str:
    return str(onnx.__version__)


def answers(model: str, inputs: Mapping[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
    found = ReferenceEvaluator(model).run(list(outputs), dict(inputs))
    return dict(zip(outputs, found, strict=True))
