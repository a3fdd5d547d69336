"""Caffe's DataTransformer: crop, mirror, mean and scale, as ``transform_param`` of a data layer says.

This is what Caffe's own nets were trained and tested with. The paper's preprocessing, which keeps
the aspect ratio, is in :mod:`vggrepro.data.preprocess` and :mod:`vggrepro.data.augment`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.messages import TRAIN
from vggrepro.data.crop_choice import CropChoice
from vggrepro.data.decode import Pixels
from vggrepro.data.image_header import check_pixels
from vggrepro.data.opencv import opencv
from vggrepro.errors import DataError, UnsupportedError

Blob = npt.NDArray[np.float32]


@dataclass(frozen=True)
class DrawnCrop:
    """The part of an image (C, H, W) that a transform has drawn, and whether it is mirrored. Labels of the
    image's height and width are cut by it too."""

    window: tuple[slice, slice, slice]
    mirrored: bool

    def __call__(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        part = array[self.window]
        return part[:, :, ::-1] if self.mirrored else part


@dataclass(frozen=True, eq=False)
class Transform:
    """A parsed ``TransformationParameter``. Calling it turns (C, H, W) into a float32 (C, h, w)."""

    where: str = "transform_param"
    """The layer, for messages."""
    train: bool = False
    scale: float = 1.0
    mirror: bool = False
    crop_size: int = 0
    mean_values: tuple[float, ...] = ()
    mean_image: Blob | None = None
    """(C, H, W), the size of the images before the crop."""
    force_color: bool = False
    force_gray: bool = False
    crops: CropChoice = field(default_factory=CropChoice)
    is_flow: bool = False
    """Whether the channels are optical flow, x and y in turn, as grey values: mirroring negates x too."""

    @classmethod
    def from_param(cls, param: Any, phase: int, where: str, read_mean: Callable[[str], Blob]) -> Transform:
        """Parse a message. ``read_mean`` gives the (C, H, W) mean image that a ``mean_file`` holds.

        Raises DataError where Caffe's constructor stops, UnsupportedError for what forks of Caffe add.
        """
        if param.HasField("mean_file") and param.mean_value:
            raise DataError(f"{where}: Cannot specify mean_file and mean_value at the same time")
        if param.force_color and param.force_gray:
            raise DataError(f"{where}: cannot set both force_color and force_gray")
        others = (
            *("resize_param", "crop_h", "crop_w", "emit_constraint"),
            *("scale_factors", "distort_param", "expand_param"),
        )
        unread = [field.name for field, _ in param.ListFields() if field.name in others]
        if unread:
            raise UnsupportedError(f"{where}: transform_param: {', '.join(unread)}: not implemented")
        return cls(
            where=where,
            train=phase == TRAIN,
            scale=param.scale,
            mirror=param.mirror,
            crop_size=param.crop_size,
            mean_values=tuple(param.mean_value),
            mean_image=read_mean(param.mean_file) if param.HasField("mean_file") else None,
            force_color=param.force_color,
            force_gray=param.force_gray,
            crops=CropChoice.from_param(param),
            is_flow=param.is_flow,
        )

    @property
    def random(self) -> bool:
        """Whether calls draw from the generator: crops in TRAIN, mirroring in both phases."""
        return self.mirror or (self.train and self.crop_size > 0)

    def __call__(self, image: npt.NDArray[Any], rng: np.random.Generator | None = None) -> Blob:
        """Crop, subtract the mean, scale and mirror ``image``, uint8 or float32 (C, H, W).

        The crop is random in TRAIN and central in TEST; mirroring is a coin's flip in both, as in
        Caffe. Raises DataError where the image does not fit the crop or the mean.
        """
        return self.apply(image, self.draw_crop(image.shape, rng))

    def draw_crop(self, shape: tuple[int, ...], rng: np.random.Generator | None = None) -> DrawnCrop:
        """Draw the part of an image of ``shape`` (C, H, W) that is taken. Raises DataError where the crop
        does not fit, or is random and there is no ``rng``."""
        if rng is None and self.random:
            raise DataError(f"{self.where}: mirroring and random crops need a random generator")
        mirrored = rng is not None and self.mirror and bool(rng.integers(2))
        top, left, height, width = self._window(shape, rng)
        return DrawnCrop((slice(None), slice(top, top + height), slice(left, left + width)), mirrored)

    def apply(self, image: npt.NDArray[Any], crop: DrawnCrop) -> Blob:
        """The ``crop`` of an image (C, H, W), less the mean and scaled. Raises DataError where the image does
        not fit the mean."""
        part = image[crop.window]
        mean_window = crop.window
        if self.crops.sizes and self.crop_size:
            part = _each_resized(part, self.crop_size)
            mean_window = (slice(None), slice(self.crop_size), slice(self.crop_size))  # as in yjxiong/caffe
        part = part.astype(np.float32)
        if self.is_flow and crop.mirrored:
            part[::2] = 255 - part[::2]
        blob = (part - self._mean(image.shape, mean_window)) * np.float32(self.scale)
        return np.ascontiguousarray(blob[:, :, ::-1] if crop.mirrored else blob)

    def _window(self, shape: tuple[int, ...], rng: np.random.Generator | None) -> tuple[int, int, int, int]:
        _, height, width = shape
        size = self.crop_size
        if not size:
            return 0, 0, height, width
        if height < size or width < size:
            raise DataError(f"{self.where}: an image of {height} x {width} is smaller than crop_size {size}")
        if self.train and rng is not None:
            return self.crops.draw(height, width, size, rng)
        return (height - size) // 2, (width - size) // 2, size, size

    def _mean(self, shape: tuple[int, ...], window: tuple[slice, ...]) -> Blob:
        channels = shape[0]
        if self.mean_image is not None:
            if self.mean_image.shape != shape:
                raise DataError(
                    f"{self.where}: mean_file holds {self.mean_image.shape}, an image has {shape}"
                )
            return self.mean_image[window]
        if len(self.mean_values) not in (0, 1, channels):
            raise DataError(
                f"{self.where}: Specify either 1 mean_value or as many as channels: {channels}"
                f" (got {len(self.mean_values)})"
            )
        return np.asarray(self.mean_values or (0.0,), np.float32)[:, None, None]


def _each_resized(planes: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """(C, H, W) at ``size`` x ``size``, each plane for itself, of the same dtype."""
    if planes.shape[1:] == (size, size):
        return planes
    cv2 = opencv()
    return np.stack([cv2.resize(np.ascontiguousarray(plane), (size, size)) for plane in planes])


def resize(pixels: Pixels, height: int, width: int, *, nearest: bool = False) -> Pixels:
    """Warp (H, W, C) to ``height`` x ``width``, as ``new_height`` and ``new_width`` do: bilinear,
    no anti-aliasing, aspect ratio not kept; ``nearest`` takes the nearest pixel instead. Both 0 leave the
    image as it is. Raises ImageTooLargeError."""
    if height == 0 and width == 0:
        return pixels
    check_pixels(height, width, "an image warped to new_height x new_width")
    cv2 = opencv()
    kernel = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    resized = cv2.resize(pixels, (width, height), interpolation=kernel)
    warped: Pixels = resized.reshape(height, width, -1)  # OpenCV drops the axis of a single channel
    return warped
