"""OpenCV 4's own importer of Caffe's files: ``readNetFromCaffe``, which OpenCV 5 no longer has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

PROTOTXT, WEIGHTS = "net.prototxt", "net.caffemodel"
"""What the files are called in the folder that stands for a model."""


def version() -> str:
    return str(cv2.__version__)


def answers(
    model: str, inputs: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str]
) -> dict[str, npt.NDArray[Any]]:
    """What the layers of these names give for the inputs; ``model`` is a folder with the two files. Raises
    cv2.error for what OpenCV cannot read or run, AttributeError in OpenCV 5."""
    dnn: Any = cv2.dnn
    net = dnn.readNetFromCaffe(*(str(Path(model) / name) for name in (PROTOTXT, WEIGHTS)))
    for name, array in inputs.items():
        net.setInput(cv2.Mat(np.ascontiguousarray(array)), name)  # type: ignore[no-untyped-call]
    found = net.forward(list(outputs))
    return {name: np.asarray(array) for name, array in zip(outputs, found, strict=True)}
