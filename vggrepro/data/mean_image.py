"""Mean images, which are subtracted from a network's input: Caffe's .binaryproto, or .npy."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.binary import read_blob
from vggrepro.data.choices import ChannelOrder
from vggrepro.data.npy_file import read_npy
from vggrepro.errors import DataError
from vggrepro.system.file_names import failure

MEAN_IMAGE_SUFFIXES = (".binaryproto", ".npy")


@dataclass(frozen=True, eq=False)
class MeanImage:
    """A mean image: ``pixels`` (H, W, C) float32, 0-255, with blue first where C is 3. ``source`` is the file
    that it is from. It is subtracted from images of its own height and width before they are cropped."""

    pixels: npt.NDArray[np.float32]
    source: str

    @property
    def channels(self) -> int:
        return int(self.pixels.shape[2])

    @property
    def over_pixels(self) -> tuple[float, ...]:
        """The mean over all pixels, one value for each channel: what pycaffe's examples subtract."""
        return tuple(self.pixels.mean(axis=(0, 1), dtype=np.float64).tolist())

    @property
    def sha256(self) -> str:
        """Of the values, (H, W, C) float32."""
        return hashlib.sha256(np.ascontiguousarray(self.pixels).tobytes()).hexdigest()


def read_mean_image(path: str | PathLike[str], order: ChannelOrder = "bgr") -> MeanImage:
    """Read a mean image (C, H, W) or (1, C, H, W), with 1 or 3 channels: compute_image_mean's .binaryproto,
    or pycaffe's .npy. Its channels are in the ``order`` of the network's input.

    Raises DataError for files that hold something else, and ParseError or WeightsError as ``read_blob``.
    """
    values = read_blob(path) if Path(path).suffix == ".binaryproto" else _read_npy(Path(path))
    shape = values.shape[1:] if values.ndim == 4 and values.shape[0] == 1 else values.shape
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise DataError(
            f"{path}: holds an array of {values.shape}, expected a mean image (C, H, W) of 1 or 3 channels"
        )
    pixels = values.reshape(shape).transpose(1, 2, 0).astype(np.float32)  # H W C
    if not np.isfinite(pixels).all():
        raise DataError(f"{path}: the mean image holds values that are not finite")
    return MeanImage(pixels[..., ::-1] if order == "rgb" else pixels, str(path))


def _read_npy(path: Path) -> npt.NDArray[np.float32]:
    try:
        single: npt.NDArray[np.float32] = read_npy(path).astype(np.float32)
    except OSError as error:
        raise DataError(f"{path}: Could not open or find file: {failure(error)}") from error
    return single
