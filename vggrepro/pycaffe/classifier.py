"""``Classifier``: classes of whole images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.messages import TEST
from vggrepro.pycaffe import io
from vggrepro.pycaffe.mode import set_mode_cpu, set_mode_gpu
from vggrepro.pycaffe.net import Net, PathLike

Array = npt.NDArray[Any]


class Classifier(Net):
    """A net in phase TEST that prepares images itself. ``image_dims`` is the size that images are resized to
    before crops are taken (default: the input's); the others are set in ``transformer``. ``gpu`` and
    ``mean_file``, an .npy file, are of before Caffe 1.0. With ``mean_file`` and without ``raw_scale``
    ``input_scale`` multiplies before the mean is subtracted, as it did then."""

    def __init__(
        self,
        model_file: PathLike,
        pretrained_file: PathLike,
        image_dims: Sequence[int] | None = None,
        mean: Array | None = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
        *,
        gpu: bool | None = None,
        mean_file: PathLike | None = None,
    ) -> None:
        choose_mode(gpu)
        super().__init__(model_file, TEST, weights=pretrained_file)
        self.transformer = make_transformer(self, mean, input_scale, raw_scale, channel_swap, mean_file)
        self.crop_dims = np.array(self.blobs[self.inputs[0]].shape[2:])
        self.image_dims: Any = image_dims if np.any(image_dims) else self.crop_dims

    def predict(self, inputs: Sequence[Array], oversample: bool = True) -> Array:
        """The class probabilities (N, C) of N images (H, W, K). With ``oversample`` the mean over ten crops
        of each, else of the one in the middle."""
        height, width = (int(size) for size in self.image_dims)
        images = np.stack([io.resize_image(image, (height, width)) for image in inputs])
        if oversample:
            images = io.oversample(images, self.crop_dims)
        else:
            top, left = (int(s / 2.0 - c / 2.0) for s, c in zip((height, width), self.crop_dims, strict=True))
            images = images[:, top : top + self.crop_dims[0], left : left + self.crop_dims[1], :]
        name = self.inputs[0]
        batch = np.stack([self.transformer.preprocess(name, image) for image in images])
        predictions = self.forward_all(None, **{name: batch})[self.outputs[0]]
        if oversample:
            predictions = predictions.reshape(len(predictions) // 10, 10, -1).mean(1)
        return predictions


def choose_mode(gpu: bool | None) -> None:
    """What ``gpu`` says, as before Caffe 1.0; None: the mode stays as it is."""
    if gpu is not None:
        (set_mode_gpu if gpu else set_mode_cpu)()


def make_transformer(
    net: Net,
    mean: Array | None,
    input_scale: float | None,
    raw_scale: float | None,
    channel_swap: Sequence[int] | None,
    mean_file: PathLike | None,
) -> io.Transformer:
    """The transformer of a net's first input, for images (H, W, K)."""
    if mean_file is not None:
        mean = np.load(mean_file)
        if raw_scale is None:
            raw_scale, input_scale = input_scale, None
    name = net.inputs[0]
    transformer = io.Transformer({name: net.blobs[name].dims})
    transformer.set_transpose(name, (2, 0, 1))
    if mean is not None:
        transformer.set_mean(name, mean)
    if input_scale is not None:
        transformer.set_input_scale(name, input_scale)
    if raw_scale is not None:
        transformer.set_raw_scale(name, raw_scale)
    if channel_swap is not None:
        transformer.set_channel_swap(name, channel_swap)
    return transformer
