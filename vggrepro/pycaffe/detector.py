"""``Detector``: classes of windows of images, as in R-CNN (Girshick et al., arXiv 1311.2524)."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.messages import TEST
from vggrepro.errors import PycaffeError
from vggrepro.pycaffe import io
from vggrepro.pycaffe.classifier import choose_mode, make_transformer
from vggrepro.pycaffe.net import Net, PathLike

Array = npt.NDArray[Any]


class Detector(Net):
    """A net in phase TEST that classifies windows. ``context_pad`` is how many pixels at each border of the
    net's input are surroundings of the window. ``gpu`` and ``mean_file`` are as in ``Classifier``."""

    def __init__(
        self,
        model_file: PathLike,
        pretrained_file: PathLike,
        mean: Array | None = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
        context_pad: int | None = None,
        *,
        gpu: bool | None = None,
        mean_file: PathLike | None = None,
    ) -> None:
        choose_mode(gpu)
        super().__init__(model_file, TEST, weights=pretrained_file)
        self.transformer = make_transformer(self, mean, input_scale, raw_scale, channel_swap, mean_file)
        self.configure_crop(context_pad)

    def detect_windows(self, images_windows: Iterable[tuple[str, Sequence[Array]]]) -> list[dict[str, Any]]:
        """For pairs of an image's file and its windows (ymin, xmin, ymax, xmax): a list of dicts with
        ``filename``, ``window`` and ``prediction``, window by window."""
        pairs = [(name, list(windows)) for name, windows in images_windows]
        crops = []
        for filename, windows in pairs:
            image = io.load_image(filename)
            crops += [self.crop(image, window) for window in windows]
        name = self.inputs[0]
        batch = np.stack([self.transformer.preprocess(name, crop) for crop in crops])
        predictions = iter(self.forward_all(None, **{name: batch})[self.outputs[0]])
        return [
            {"window": window, "prediction": next(predictions), "filename": filename}
            for filename, windows in pairs
            for window in windows
        ]

    def detect_selective_search(self, image_fnames: Sequence[str]) -> list[dict[str, Any]]:
        """As ``detect_windows``, over what the package ``selective_search_ijcv_with_python`` proposes,
        which needs MATLAB. Raises RuntimeError without it."""
        try:
            proposals = importlib.import_module("selective_search_ijcv_with_python")
        except ImportError as error:
            raise PycaffeError(f"detect_selective_search needs a package of its own: {error}") from error
        names = [str(Path(name).resolve()) for name in image_fnames]
        return self.detect_windows(
            zip(names, proposals.get_windows(names, cmd="selective_search_rcnn"), strict=True)
        )

    def crop(self, im: Array, window: Array) -> Array:
        """The window of an image (H, W, K), with the surroundings that ``configure_crop`` asked for.
        Fractions of pixels count where there are surroundings, and are cut off where there are none."""
        window = np.asarray(window)
        if not self.context_pad:
            ymin, xmin, ymax, xmax = window.astype(int)
            return im[ymin:ymax, xmin:xmax]
        size = self.blobs[self.inputs[0]].width  # the input is taken to be a square
        box = self._widened(window, size)
        scales = size / (box[2:] - box[:2] + 1)
        pads = [round(max(0, -start) * scale) for start, scale in zip(box[:2], scales, strict=True)]
        inside = np.clip(box, 0, [*im.shape[:2], *im.shape[:2]]).astype(int)
        extents = inside[2:] - inside[:2] + 1
        if min(extents) <= 0:
            raise PycaffeError(f"window {window.tolist()} lies outside of the image, {im.shape[:2]}")
        sizes = [
            min(round(extent * scale), size - pad)
            for extent, scale, pad in zip(extents, scales, pads, strict=True)
        ]
        content = io.resize_image(im[inside[0] : inside[2], inside[1] : inside[3]], sizes)
        crop: Array = np.ones(self.crop_dims, np.float32) * self.crop_mean
        crop[pads[0] : pads[0] + sizes[0], pads[1] : pads[1] + sizes[1]] = content
        return crop

    def _widened(self, window: Array, size: int) -> Array:
        """The box whose middle, without ``context_pad`` pixels of the net's input at each border, is the
        window."""
        scale = size / (size - 2.0 * (self.context_pad or 0))
        half = (window[2:] - window[:2] + 1) / 2.0
        centre = window[:2] + half
        return np.asarray(np.round(np.concatenate([centre - scale * half, centre + scale * half])))

    def configure_crop(self, context_pad: int | None) -> None:
        """Set how much of the surroundings to take; what lies outside of the image is the mean."""
        name = self.inputs[0]
        back = np.argsort(self.transformer.transpose[name])
        self.crop_dims = np.array(self.blobs[name].shape[1:])[back]
        self.context_pad = context_pad
        self.crop_mean: Array = np.zeros(self.crop_dims, np.float32)
        mean = self.transformer.mean.get(name)
        if context_pad and mean is not None:
            self.crop_mean = mean.copy().transpose(back)
            if name in self.transformer.channel_swap:
                self.crop_mean = self.crop_mean[:, :, np.argsort(self.transformer.channel_swap[name])]
            if (raw_scale := self.transformer.raw_scale.get(name)) is not None:
                self.crop_mean = self.crop_mean / raw_scale
