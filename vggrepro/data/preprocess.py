"""The paper's preprocessing at test time (sections 2.1 and 3.2): rescale, views, mean. Pure functions.

Images are (H, W, 3) in B, G, R order: uint8, or float32 where MATLAB's kernel has left fractions. The paper
rescales isotropically, so that the smaller side becomes Q, and looks either at the whole image or at crops
of it. What it leaves open is an argument here: the interpolation kernel, and where the crops of an odd
margin lie.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from vggrepro.data.choices import MAX_PIXELS, Centre, ChannelOrder, Kernel, Resize
from vggrepro.data.decode import Pixels
from vggrepro.data.image_header import check_pixels
from vggrepro.data.matlab import Value, imresize
from vggrepro.data.opencv import opencv
from vggrepro.errors import DataError

Offset = tuple[int, int]
"""Top and left of a crop."""


def rescaled_size(height: int, width: int, smallest: int, kernel: Kernel = "linear") -> tuple[int, int]:
    """Height and width after isotropic rescaling to a smaller side of ``smallest``.

    The longer side, side * smallest / smaller, is rounded half up, and by the kernel ``matlab`` up, as by
    ``imresize(im, [smallest NaN])``. Raises DataError for sizes below 1.
    """
    smaller = min(height, width)
    if smaller < 1 or smallest < 1:
        raise DataError(f"cannot rescale an image of {height} x {width} to a smaller side of {smallest}")
    if kernel == "matlab":
        return -(-height * smallest // smaller), -(-width * smallest // smaller)
    return int(height * smallest / smaller + 0.5), int(width * smallest / smaller + 0.5)


def rescale(
    pixels: npt.NDArray[Value],
    smallest: int,
    kernel: Kernel = "linear",
    resize: Resize = "keep-aspect",
    needed: tuple[int, int] | None = None,
) -> npt.NDArray[Value]:
    """Rescale (H, W, C), uint8 or float32, so that the smaller side is ``smallest``, or with ``resize``
    "warp" both sides; of the same dtype again.

    ``needed`` says how many rows and columns of the result, from the top left, the caller looks at: those
    beyond may be missing, the others are the same to the last bit. Raises ImageTooLargeError if the whole
    result has more than MAX_PIXELS pixels, as of a picture one pixel high.
    """
    height, width = rescaled_size(pixels.shape[0], pixels.shape[1], smallest, kernel)
    if resize == "warp":
        height, width = smallest, smallest
    if (height, width) == pixels.shape[:2]:
        return pixels
    if height * width > MAX_PIXELS:
        old = f"{pixels.shape[0]} x {pixels.shape[1]}"
        check_pixels(height, width, f"an image of {old} pixels, rescaled to a smaller side of {smallest},")
    if kernel == "matlab":
        scale = None if resize == "warp" else smallest / min(pixels.shape[:2])
        return imresize(pixels, height, width, scale)
    if needed is not None and kernel == "linear" and pixels.dtype == np.uint8:
        return _rescaled_part(pixels, (height, width), needed)
    cv2 = opencv()
    flags = {
        "linear": cv2.INTER_LINEAR,
        "cubic": cv2.INTER_CUBIC,
        "area": cv2.INTER_AREA,
        "lanczos": cv2.INTER_LANCZOS4,
    }
    resized: npt.NDArray[Value] = cv2.resize(pixels, (width, height), interpolation=flags[kernel])
    return resized.reshape(height, width, -1)


def _rescaled_part(
    pixels: npt.NDArray[Value], size: tuple[int, int], needed: tuple[int, int]
) -> npt.NDArray[Value]:
    """At least the ``needed`` rows and columns, from the top left, of bytes rescaled to ``size`` by OpenCV's
    linear kernel, which computes them in whole numbers, each from its four neighbours alone.

    OpenCV gets the part of the picture where those neighbours lie, and the scales of the whole: the quotients
    that it computes itself if it is given the size. A part that would keep its size it would merely copy.
    """
    cv2, whole = opencv(), pixels.shape[:2]
    down, across = (new / old for new, old in zip(size, whole, strict=True))
    rows, columns = (
        min(int(count / scale) + 3, old)
        for count, scale, old in zip(needed, (down, across), whole, strict=True)
    )
    if (round(rows * down), round(columns * across)) == (rows, columns):
        rows, columns = whole
    resized: npt.NDArray[Value] = cv2.resize(
        pixels[:rows, :columns], None, fx=across, fy=down, interpolation=cv2.INTER_LINEAR
    )
    return resized.reshape(*resized.shape[:2], -1)


def centre_offset(height: int, width: int, crop: int, rule: Centre = "floor") -> Offset:
    """The offset of the central crop. Raises DataError where the image is smaller than the crop."""
    _check_fits(height, width, crop)
    odd = 1 if rule == "matcaffe" else 0
    return (height - crop + odd) // 2, (width - crop + odd) // 2


def five_crop_offsets(height: int, width: int, crop: int, rule: Centre = "floor") -> tuple[Offset, ...]:
    """Top left, top right, bottom left, bottom right, centre: half of the ten crops.

    The other half are the same offsets in the mirrored crops, in this order too (the authors' demo
    and ``caffe.io.oversample``, whose centre is ``floor``).
    """
    centre = centre_offset(height, width, crop, rule)
    bottom, right = height - crop, width - crop
    return (0, 0), (0, right), (bottom, 0), (bottom, right), centre


def grid_offsets(height: int, width: int, crop: int, side: int = 5) -> tuple[Offset, ...]:
    """A regular grid of ``side`` x ``side`` crops over the whole image, row by row (section 3.2: 5 x 5).

    The i-th offset along a margin d is round(i * d / (side - 1)), halves to the even neighbour; the
    paper names the grid but not its offsets.
    """
    _check_fits(height, width, crop)
    if side < 2:
        raise DataError(f"a grid of crops has at least 2 x 2 of them, not {side} x {side}")
    tops = [round(i * (height - crop) / (side - 1)) for i in range(side)]
    lefts = [round(i * (width - crop) / (side - 1)) for i in range(side)]
    return tuple((top, left) for top in tops for left in lefts)


def cut(pixels: Pixels, offset: Offset, crop: int) -> Pixels:
    """The ``crop`` x ``crop`` view of (H, W, C) at ``offset``."""
    top, left = offset
    height, width = pixels.shape[:2]
    if top < 0 or left < 0 or top + crop > height or left + crop > width:
        raise DataError(f"a crop of {crop} at {offset} leaves the image of {height} x {width}")
    return pixels[top : top + crop, left : left + crop]


def rescaled_crop(
    pixels: Pixels, smallest: int, crop: int, offset: Callable[[int, int], Offset], kernel: Kernel = "linear"
) -> Pixels:
    """The crop (crop, crop, C) of an image (H, W, C) rescaled to a smaller side of ``smallest``, at the
    ``offset`` for its height and width then. Only what the crop needs is rescaled. Raises as :func:`rescale`
    and :func:`cut`."""
    top, left = offset(*rescaled_size(pixels.shape[0], pixels.shape[1], smallest, kernel))
    return cut(rescale(pixels, smallest, kernel, needed=(top + crop, left + crop)), (top, left), crop)


def mirror(pixels: Pixels) -> Pixels:
    """(..., H, W, C) flipped left to right, as a view."""
    return pixels[..., ::-1, :]


def views(pixels: Pixels, offsets: Iterable[Offset], crop: int, *, flip: bool) -> Pixels:
    """The crops at ``offsets``, uint8 (V, crop, crop, C); with ``flip`` their mirror images follow."""
    crops = np.stack([cut(pixels, offset, crop) for offset in offsets])  # V h w C
    return np.concatenate([crops, mirror(crops)]) if flip else crops


def to_blob(
    images: npt.NDArray[Value],
    mean: Sequence[float] | npt.NDArray[np.float32],
    scale: float = 1.0,
    order: ChannelOrder = "bgr",
) -> npt.NDArray[np.float32]:
    """(pixel - mean) * scale of ``images`` (N, H, W, C), B, G, R, as Caffe's (N, C, H, W) float32, with
    the channels in the ``order`` that the network expects (Caffe's DataTransformer).

    ``mean`` has one value for each channel, blue first, or is as large as the images. Raises DataError where
    it is neither.
    """
    means = np.asarray(mean, np.float32)
    if means.ndim == 1 and means.shape != images.shape[-1:]:
        raise DataError(f"a mean of {means.size} values for images of {images.shape[-1]} channels")
    if means.ndim > 1 and means.shape != images.shape:
        raise DataError(f"a mean of shape {means.shape} for images of shape {images.shape}")
    if order == "rgb":
        images, means = images[..., ::-1], means[..., ::-1]
    channels_first = images.transpose(0, 3, 1, 2)  # N C H W
    blob = np.empty(channels_first.shape, np.float32)
    subtrahend = means[:, None, None] if means.ndim == 1 else means.transpose(0, 3, 1, 2)
    np.subtract(channels_first, subtrahend, out=blob)  # one pass: a quarter of the time of two
    if scale != 1.0:
        np.multiply(blob, np.float32(scale), out=blob)
    return blob


def _check_fits(height: int, width: int, crop: int) -> None:
    if height < crop or width < crop:
        raise DataError(f"an image of {height} x {width} is smaller than a crop of {crop}")
