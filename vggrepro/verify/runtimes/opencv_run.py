"""OpenCV's dnn module, 4.x or 5.x, on the CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt


def version() -> str:
    return str(cv2.__version__)


def answers(
    model: str, inputs: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str]
) -> dict[str, npt.NDArray[Any]]:
    """The named outputs for these inputs. Raises cv2.error for what OpenCV cannot read or run."""
    net = cv2.dnn.readNetFromONNX(model)
    for name, array in inputs.items():
        net.setInput(_mat(array), name)
    found = net.forward(list(outputs))
    return {name: np.asarray(array) for name, array in zip(outputs, found, strict=True)}


def _mat(array: npt.NDArray[Any]) -> Any:
    """The array without an axis that stands for colours: OpenCV 4 takes the last of three for it."""
    return cv2.Mat(np.ascontiguousarray(array))  # type: ignore[no-untyped-call]
