"""``Segmenter``: the class of every pixel of an image, as in CRF-as-RNN's fork of Caffe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.messages import TEST
from vggrepro.pycaffe.classifier import choose_mode
from vggrepro.pycaffe.net import Net, PathLike


class Segmenter(Net):
    """A net in phase TEST. Without ``gpu`` it makes the CPU the device of all nets, as the fork's does."""

    def __init__(self, model_file: PathLike, pretrained_file: PathLike, gpu: bool = False) -> None:
        super().__init__(model_file, TEST, weights=pretrained_file)
        choose_mode(gpu)

    def predict(self, inputs: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.uint8]:
        """The class of every pixel, uint8 (H, W), of the first of some images (H, W, K), which have the size
        of the net's input and the order of its channels."""
        name = self.inputs[0]
        batch = np.stack([np.asarray(image, np.float32).transpose(2, 0, 1) for image in inputs])
        scores = self.forward_all(None, **{name: batch})[self.outputs[0]]
        return np.asarray(scores[0].argmax(axis=0), np.uint8)
