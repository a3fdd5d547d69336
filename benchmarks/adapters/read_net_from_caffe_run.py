"""OpenCV 4's own importer of Caffe's files, with its outputs under the names that OpenCV gives them: the
blob's for some layers, the layer's for others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from caffe_files import PROTOTXT, WEIGHTS, paired


def version() -> str:
    return str(cv2.__version__)


def answers(model: str, inputs: Mapping[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
    net = cv2.dnn.readNetFromCaffe(f"{model}/{PROTOTXT}", f"{model}/{WEIGHTS}")
    for name, array in inputs.items():
        net.setInput(cv2.Mat(np.ascontiguousarray(array)), name)
    of = paired(model, "outputs", [*net.getUnconnectedOutLayersNames(), *net.getLayerNames()])
    found = net.forward([of[blob] for blob in outputs])
    return dict(zip(outputs, found, strict=True))
