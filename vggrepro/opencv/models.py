"""OpenCV 4's ``cv2.dnn.Model`` and its kinds (``dnn_DetectionModel``, ...) over nets of Caffe's files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.errors import NetError
from vggrepro.layers.detection_output import DetectionOutput
from vggrepro.opencv.imported_net import ImportedNet
from vggrepro.opencv.stretches import cv2_module

Array = npt.NDArray[Any]
Numbers = Sequence[float] | float

_IM_INFO = "im_info"
_IM_INFO_SCALE = 1.6


class Model:
    """A net with what is done to a frame, (H, W), (H, W, 3) or (H, W, 4), before. As in OpenCV, frames are
    resized to what the first input is in the definition, and nothing else, until a setter says otherwise."""

    def __init__(self, net: ImportedNet) -> None:
        self._net = net
        self._outputs = net.getUnconnectedOutLayersNames()
        shape = next(iter(net.input_shapes.values()), ())
        self._size = (shape[3], shape[2]) if len(shape) == 4 else (0, 0)
        self._blob: dict[str, Any] = {}

    def setInputSize(self, *size: Any) -> Model:
        """Width and height, as two numbers or a pair."""
        width, height = size[0] if len(size) == 1 else size
        self._size = (int(width), int(height))
        return self

    def setInputMean(self, mean: Numbers) -> Model:
        self._blob["mean"] = mean
        return self

    def setInputScale(self, scale: Numbers) -> Model:
        """One factor for all channels, or one for each."""
        several = np.atleast_1d(np.asarray(scale, float))
        self._blob["scalefactor"] = (*several,) * (4 if len(several) == 1 else 1)
        return self

    def setInputSwapRB(self, swapRB: bool) -> Model:
        self._blob["swapRB"] = bool(swapRB)
        return self

    def setInputCrop(self, crop: bool) -> Model:
        dnn = cv2_module().dnn
        self._blob["paddingmode"] = dnn.DNN_PMODE_CROP_CENTER if crop else dnn.DNN_PMODE_NULL
        return self

    def setInputParams(
        self,
        scale: float = 1.0,
        size: Sequence[int] = (0, 0),
        mean: Numbers = (),
        swapRB: bool = False,
        crop: bool = False,
    ) -> None:
        self.setInputScale(scale).setInputSize(size).setInputMean(mean)
        self.setInputSwapRB(swapRB).setInputCrop(crop)

    def setOutputNames(self, outNames: Sequence[str]) -> Model:
        self._outputs = tuple(outNames)
        return self

    def setPreferableBackend(self, backendId: int) -> Model:
        self._net.setPreferableBackend(backendId)
        return self

    def setPreferableTarget(self, targetId: int) -> Model:
        self._net.setPreferableTarget(targetId)
        return self

    def enableWinograd(self, useWinograd: bool) -> Model:
        self._net.enableWinograd(useWinograd)
        return self

    def predict(self, frame: Array) -> tuple[Array, ...]:
        """The blobs of the outputs. Raises NetError without a size to resize to."""
        if not all(self._size):
            raise NetError("predict: there is no input size; expected setInputSize before")
        dnn = cv2_module().dnn
        parameters = dnn.Image2BlobParams()
        for name, value in self._blob.items():
            setattr(parameters, name, value)
        parameters.size = self._size
        self._net.setInput(dnn.blobFromImageWithParams(frame, parameters))
        if _IM_INFO in self._net.input_shapes:  # the two-stage detectors
            info = np.array([[self._size[1], self._size[0], _IM_INFO_SCALE]], np.float32)
            self._net.setInput(info, _IM_INFO)
        found: tuple[Array, ...] = self._net.forward(self._outputs)
        return found

    def _one(self, frame: Array, method: str, axes: int = 0) -> Array:
        """The only output, of so many axes if that matters."""
        outputs = self.predict(frame)
        if len(outputs) != 1:
            raise NetError(
                f"{method}: the net has {len(outputs)} outputs, expected 1; setOutputNames says which"
            )
        if axes and outputs[0].ndim != axes:
            raise NetError(f"{method}: the output is {outputs[0].shape}, expected {axes} axes")
        return outputs[0]


class ClassificationModel(Model):
    """A net whose output is a score for each class."""

    _softmax = False

    def setEnableSoftmaxPostProcessing(self, enable: bool) -> Model:
        self._softmax = bool(enable)
        return self

    def getEnableSoftmaxPostProcessing(self) -> bool:
        return self._softmax

    def classify(self, frame: Array) -> tuple[int, float]:
        """The likeliest class and its score."""
        scores = self._one(frame, "classify").ravel()
        if self._softmax:
            scores = np.exp(scores - scores.max())
            scores /= scores.sum()
        best = int(scores.argmax())
        return best, float(scores[best])


class KeypointsModel(Model):
    """A net whose output is a map for each point, and one of the background."""

    def estimate(self, frame: Array, thresh: float = 0.5) -> npt.NDArray[np.float32]:
        """x and y of each point in the frame, (points, 2); -1 where no value is above ``thresh``."""
        output = self._one(frame, "estimate", 4)
        height, width = output.shape[2:]
        maps = output[0, :-1].reshape(-1, height * width)
        best = maps.argmax(axis=1)
        factors = np.array([frame.shape[1] / width, frame.shape[0] / height], np.float32)
        points = np.stack([best % width, best // width], axis=1).astype(np.float32) * factors
        points[maps[np.arange(len(maps)), best] <= thresh] = -1
        return points


class SegmentationModel(Model):
    """A net whose output is a map of scores for each class."""

    def segment(self, frame: Array) -> npt.NDArray[np.uint8]:
        """The likeliest class of each place of the map, (height, width)."""
        best: Array = self._one(frame, "segment", 4)[0].argmax(axis=0)
        return best.astype(np.uint8)


class DetectionModel(Model):
    """A net whose last layer is DetectionOutput."""

    _across_classes = False

    def setNmsAcrossClasses(self, value: bool) -> Model:
        """Without effect: DetectionOutput has suppressed what it should."""
        self._across_classes = bool(value)
        return self

    def getNmsAcrossClasses(self) -> bool:
        return self._across_classes

    def detect(self, frame: Array, confThreshold: float = 0.5, nmsThreshold: float = 0.0) -> tuple[Any, ...]:
        """Classes (n,) int32, confidences (n,) float32, boxes (n, 4) int32 as left, top, width and height in
        the frame: three empty tuples if there are none. Raises NetError for another last layer."""
        last = self._net.getLayer(self._net.getLayerNames()[-1])
        if last.type != DetectionOutput.type:
            raise NetError(
                f"detect: the last layer, {last.name!r}, is of type {last.type}, expected DetectionOutput"
            )
        rows = np.concatenate([output.reshape(-1, 7) for output in self.predict(frame)])
        rows = rows[rows[:, 2] >= np.float32(confThreshold)]
        if not len(rows):
            return (), (), ()
        size = self._size if _IM_INFO in self._net.input_shapes else (frame.shape[1], frame.shape[0])
        return rows[:, 1].astype(np.int32), rows[:, 2].copy(), _boxes(rows[:, 3:], np.array(size, np.int32))


def _boxes(corners: Array, size: Array) -> Array:
    """Boxes, (n, 4), of corners in pixels, or in shares of the frame's size where a side would have two
    pixels at most."""
    pixels = corners.astype(np.int32)
    small = (pixels[:, 2:] - pixels[:, :2] + 1 <= 2).any(axis=1, keepdims=True)
    scaled = (corners * np.tile(size, 2).astype(np.float32)).astype(np.int32)
    pixels = np.where(small, scaled, pixels)
    first = np.clip(pixels[:, :2], 0, size - 1)
    sides = np.maximum(1, np.minimum(pixels[:, 2:] - pixels[:, :2] + 1, size - first))
    return np.concatenate([first, sides], axis=1)
