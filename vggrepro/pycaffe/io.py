"""``caffe.io``: images, their preprocessing, and arrays as Caffe's messages. Only the names that Caffe's
module has from scikit-image and SciPy (``resize``, ``skimage``, ``zoom``) need those packages."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from vggrepro.data.decode import decode_unchanged
from vggrepro.errors import PycaffeError, UnreadableImageError, VggReproError
from vggrepro.pycaffe.proto import caffe_pb2
from vggrepro.pycaffe.resize import resize_smoothly, zoom_corners

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

ANTI_ALIASING = True
"""Whether :func:`resize_image` smooths before it shrinks, as scikit-image has done by default since 0.15
(2019). Set it to False for what Caffe's module computed in its own time."""

GREY = np.array([0.2125, 0.7154, 0.0721])
"""The weights of R, G and B in scikit-image's grey."""


def blobproto_to_array(blob: Any, return_diff: bool = False) -> Array:
    """The data of a ``BlobProto``, or its diff, float64. Raises ValueError if the shape does not fit."""
    data = np.array(blob.diff if return_diff else blob.data)
    if any(blob.HasField(name) for name in ("num", "channels", "height", "width")):
        return data.reshape(blob.num, blob.channels, blob.height, blob.width)
    return data.reshape(tuple(blob.shape.dim))


def array_to_blobproto(arr: Array, diff: Array | None = None) -> Any:
    """An array of any shape, and its diff, as a ``BlobProto``."""
    blob = caffe_pb2.BlobProto()
    blob.shape.dim.extend(arr.shape)
    blob.data.extend(arr.astype(float).flat)
    if diff is not None:
        blob.diff.extend(diff.astype(float).flat)
    return blob


def arraylist_to_blobprotovector_str(arraylist: Sequence[Array]) -> bytes:
    """Arrays as the bytes of a ``BlobProtoVector``."""
    vector = caffe_pb2.BlobProtoVector(blobs=[array_to_blobproto(arr) for arr in arraylist])
    data: bytes = vector.SerializeToString()
    return data


arraylist_to_blobprotovecor_str = arraylist_to_blobprotovector_str  # as Caffe spells it


def blobprotovector_str_to_arraylist(str: bytes) -> list[Array]:
    """The arrays in the bytes of a ``BlobProtoVector``."""
    return [blobproto_to_array(blob) for blob in caffe_pb2.BlobProtoVector.FromString(str).blobs]


def array_to_datum(arr: Array, label: int | None = None) -> Any:
    """A (C, H, W) array as a ``Datum``: bytes if it is uint8, else floats. Raises ValueError for other
    numbers of axes."""
    if arr.ndim != 3:
        raise ValueError(f"Incorrect array shape. (got {arr.shape}, expected (C, H, W))")
    channels, height, width = arr.shape
    datum = caffe_pb2.Datum(channels=channels, height=height, width=width)
    if arr.dtype == np.uint8:
        datum.data = arr.tobytes()
    else:
        datum.float_data.extend(arr.astype(float).flat)
    if label is not None:
        datum.label = label
    return datum


def datum_to_array(datum: Any) -> Array:
    """The (C, H, W) array of a ``Datum``: uint8 if it has bytes, else float64."""
    values = np.frombuffer(datum.data, np.uint8).copy() if datum.data else np.array(datum.float_data, float)
    return values.reshape(datum.channels, datum.height, datum.width)


class Transformer:
    """Prepares images for a net. ``inputs`` maps a blob to its shape, (N, K, H, W).

    ``preprocess`` resizes, transposes, swaps channels, multiplies by the raw scale, subtracts the mean and
    multiplies by the input scale, each only if it was set. A scale or a mean of None counts as not set.
    """

    def __init__(self, inputs: Mapping[str, Sequence[int]]) -> None:
        self.inputs = inputs
        self.transpose: dict[str, Sequence[int]] = {}
        self.channel_swap: dict[str, Sequence[int]] = {}
        self.raw_scale: dict[str, float | None] = {}
        self.mean: dict[str, Array | None] = {}
        self.input_scale: dict[str, float | None] = {}
        self.is_flow: dict[str, bool] = {}

    def preprocess(self, in_: str, data: Array) -> Floats:
        """(H', W', K) to float32 (K, H, W), the size of the input ``in_``."""
        self.__check_input(in_)
        sizes = tuple(self.inputs[in_][2:])
        image = np.array(data, np.float32)
        if image.shape[:2] != sizes:
            image = resize_image(image, sizes)
        if in_ in self.transpose:
            image = image.transpose(self.transpose[in_])
        if in_ in self.channel_swap:
            image = image[list(self.channel_swap[in_]), :, :]
        if (raw_scale := self.raw_scale.get(in_)) is not None:
            image *= raw_scale
        if (mean := self.mean.get(in_)) is not None:
            image -= mean.astype(np.float32)
        if (input_scale := self.input_scale.get(in_)) is not None:
            image *= input_scale
        return image

    def deprocess(self, in_: str, data: Array) -> Array:
        """Back from what ``preprocess`` gives to an image, but for the size."""
        self.__check_input(in_)
        image = data.copy().squeeze()
        if (input_scale := self.input_scale.get(in_)) is not None:
            image /= input_scale
        if (mean := self.mean.get(in_)) is not None:
            image += mean
        if (raw_scale := self.raw_scale.get(in_)) is not None:
            image /= raw_scale
        if in_ in self.channel_swap:
            image = image[np.argsort(self.channel_swap[in_]), :, :]
        if in_ in self.transpose:
            image = image.transpose(np.argsort(self.transpose[in_]))
        return np.asarray(image)

    def set_transpose(self, in_: str, order: Sequence[int]) -> None:
        """The axes of the image in the order of the blob's: (2, 0, 1) for (H, W, K)."""
        self.__check_input(in_)
        if len(order) != len(self.inputs[in_]) - 1:
            raise PycaffeError(
                "Transpose order needs to have the same number of dimensions as the input."
                f" (input {in_!r}: got {tuple(order)} for {tuple(self.inputs[in_])})"
            )
        self.transpose[in_] = order

    def set_channel_swap(self, in_: str, order: Sequence[int]) -> None:
        """The order in which to take the channels: (2, 1, 0) makes B, G, R of R, G, B."""
        self.__check_input(in_)
        if len(order) != self.inputs[in_][1]:
            raise PycaffeError(
                "Channel swap needs to have the same number of dimensions as the input channels."
                f" (input {in_!r}: got {tuple(order)} for {self.inputs[in_][1]} channels)"
            )
        self.channel_swap[in_] = order

    def set_raw_scale(self, in_: str, scale: float | None) -> None:
        """What to multiply by before the mean is subtracted: 255 for images in [0, 1]; None for nothing."""
        self.__check_input(in_)
        self.raw_scale[in_] = scale

    def set_mean(self, in_: str, mean: Array) -> None:
        """The mean to subtract: one value for each channel, or an image (H, W) or (C, H, W); a (C, H, W) of
        another size than the input's is resized. Raises ValueError for other shapes."""
        self.__check_input(in_)
        wanted = tuple(self.inputs[in_][1:])
        if mean.ndim == 1:
            if mean.shape[0] != wanted[0]:
                raise ValueError(f"Mean channels incompatible with input. ({mean.shape[0]} for {wanted[0]})")
            mean = mean[:, np.newaxis, np.newaxis]
        else:
            shape = (1, *mean.shape) if mean.ndim == 2 else mean.shape
            if len(shape) != 3:
                raise ValueError(f"Mean shape invalid (got {mean.shape})")
            if shape != wanted and (mean.ndim == 2 or shape[0] not in (1, wanted[0])):
                raise ValueError(f"Mean shape incompatible with input shape. ({shape} for {wanted})")
            if shape[1:] != wanted[1:]:
                mean = resize_image(mean.transpose(1, 2, 0), wanted[1:]).transpose(2, 0, 1)
        self.mean[in_] = mean

    def set_input_scale(self, in_: str, scale: float | None) -> None:
        """What to multiply by after everything else; None for nothing."""
        self.__check_input(in_)
        self.input_scale[in_] = scale

    def set_is_flow(self, in_: str, is_flow: bool) -> None:
        """Say that the input is an image of optical flow, as LRCN's scripts do (not in BVLC Caffe). Neither
        this class nor that of LRCN's fork prepares such an image in another way."""
        self.__check_input(in_)
        self.is_flow[in_] = is_flow

    def __check_input(self, in_: str) -> None:
        if in_ not in self.inputs:
            raise PycaffeError(f"{in_} is not one of the net inputs: {self.inputs}")


def load_image(filename: str | os.PathLike[str] | IO[bytes], color: bool = True) -> Floats:
    """An image file, by its name or opened, as float32 in [0, 1], (H, W, 3) in R, G, B or (H, W, 1) in grey.
    Alpha is dropped, EXIF orientation ignored. Raises OSError for a file that cannot be read, and
    UnreadableImageError, which is one too, for a file that is no image.
    """
    data, name = _contents(filename)
    try:
        native = decode_unchanged(data, name, deep=True).warned(name)
    except VggReproError as error:
        raise UnreadableImageError(str(error)) from error
    pixels = native / np.iinfo(native.dtype).max  # B, G, R, and alpha
    channels = pixels.shape[2]
    if channels == 1:
        return np.repeat(pixels, 3 if color else 1, axis=2).astype(np.float32)
    image = pixels[:, :, 2::-1]
    if not color:
        if channels == 4:  # over white
            image = image * pixels[:, :, 3:] + 1 - pixels[:, :, 3:]
        image = (image @ GREY)[:, :, np.newaxis]
    return np.asarray(image, np.float32)


def _contents(file: str | os.PathLike[str] | IO[bytes]) -> tuple[bytes, str]:
    """All that a file holds, also what was read or written before, and its name for messages."""
    if isinstance(file, (str, os.PathLike)):
        return Path(file).read_bytes(), str(file)
    if file.seekable():
        file.seek(0)
    return file.read(), str(getattr(file, "name", "the opened file"))


def resize_image(im: Array, new_dims: Sequence[int], interp_order: int = 1) -> Floats:
    """(H, W, K) to float32 of ``new_dims`` (height, width), by linear (``interp_order`` 1) or nearest (0)
    interpolation: with 1 or 3 channels as scikit-image, with others as ``scipy.ndimage.zoom`` does it.
    Splines (2 to 5) are left to these packages: raises RuntimeError where they are not installed.
    """
    sizes = (int(new_dims[0]), int(new_dims[1]))
    spline = interp_order not in (0, 1)
    if im.shape[-1] not in (1, 3):
        if not spline:
            return zoom_corners(im, sizes, interp_order).astype(np.float32)
        factors = (sizes[0] / im.shape[0], sizes[1] / im.shape[1], 1)
        return np.asarray(_imported("zoom")(im, factors, order=interp_order), np.float32)
    low, high = im.min(), im.max()
    if high <= low:
        return np.full((*sizes, im.shape[-1]), low, np.float32)
    normal = (im - low) / (high - low)
    smooth = ANTI_ALIASING and any(new < old for new, old in zip(sizes, im.shape, strict=False))
    if spline:
        resize = _imported("resize")
        normal = resize(normal, sizes, order=interp_order, mode="constant", anti_aliasing=smooth)
    else:
        normal = resize_smoothly(normal, sizes, interp_order, smooth)
    return np.asarray(normal * (high - low) + low, np.float32)


def flip_image(im: Array, scale: float = 128, is_flow: bool = False) -> Array:
    """An image (H, W, K) mirrored left to right, as in LRCN's fork (not in BVLC Caffe). Of an image of
    optical flow the first channel, the flow along x, becomes ``scale`` less its values."""
    mirrored: Array = im[:, ::-1].copy()
    if is_flow:
        mirrored[..., 0] = scale - mirrored[..., 0]
    return mirrored


def oversample(
    images: Sequence[Array] | Array, crop_dims: Sequence[int] | Array, flow: bool = False
) -> Floats:
    """The four corners and the centre of each image, then the same mirrored: (10 N, height, width, K). With
    ``flow``, as in LRCN's fork, :func:`flip_image` mirrors images of optical flow in [0, 1]."""
    height, width = (int(size) for size in crop_dims)
    tall, wide, channels = images[0].shape
    centre = int(tall / 2.0 - height / 2.0), int(wide / 2.0 - width / 2.0)
    corners = [(top, left) for top in (0, tall - height) for left in (0, wide - width)]
    crops = np.empty((10 * len(images), height, width, channels), np.float32)
    for number, image in enumerate(images):
        for index, (top, left) in enumerate([*corners, centre]):
            crop = image[top : top + height, left : left + width]
            crops[10 * number + index] = crop
            crops[10 * number + 5 + index] = flip_image(crop, 1, flow)
    return crops


_ELSEWHERE = {"resize": "skimage.transform", "skimage": "skimage.io", "zoom": "scipy.ndimage"}
"""Names that Caffe's module imports, and the modules that they are from."""


def __getattr__(name: str) -> Any:
    """``resize``, ``skimage`` and ``zoom``. Raises RuntimeError where their package is not installed."""
    if name not in _ELSEWHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _imported(name)


def _imported(name: str) -> Any:
    module = _ELSEWHERE[name]
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        package = {"skimage": "scikit-image"}.get(module.split(".")[0], "scipy")
        raise PycaffeError(f"caffe.io.{name} is from {package}: pip install {package}") from error
    return sys.modules["skimage"] if name == "skimage" else getattr(found, name)
