"""An image at the scales that streams ask for, and its views, which share the memory of these copies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vggrepro.data.choices import MAX_PIXELS, Centre, ChannelOrder, Exif, Kernel, Resize
from vggrepro.data.decode import Decoded
from vggrepro.data.preprocess import Offset, centre_offset, five_crop_offsets, grid_offsets, rescale
from vggrepro.errors import ImageTooLargeError
from vggrepro.evaluation.measuring.view_batches import Size
from vggrepro.evaluation.protocols import ReadingChanges, Stream

if TYPE_CHECKING:
    from vggrepro.data.sources.base import Source

AnyPixels = npt.NDArray[Any]
"""(H, W, C) of any dtype: an image, or a mean image that is cropped with it."""


@dataclass(frozen=True)
class ImageReading:
    """How images become pixels, where the paper leaves a choice (see :mod:`vggrepro.data.preprocess`)."""

    exif: Exif = "ignore"
    kernel: Kernel = "linear"
    centre: Centre = "floor"
    max_pixels: int = field(default=MAX_PIXELS, compare=False)
    """Most pixels of an image; no fact of a result, since more are an error."""
    resize: Resize = "keep-aspect"
    channel_order: ChannelOrder = "bgr"
    scale: float = 1.0
    """What pixels are multiplied by after the mean is subtracted."""

    def changed(self, changes: ReadingChanges) -> ImageReading:
        """This reading with other values in some of its fields."""
        return replace(self, **dict(changes))  # type: ignore[arg-type]  # the fields' own texts

    def facts(self) -> dict[str, Any]:
        """The choices, ready for JSON. Those that VGG's nets never need are told only where they differ from
        VGG's, so that view caches that were written without them stay valid."""
        found: dict[str, Any] = {"exif": self.exif, "kernel": self.kernel, "centre": self.centre}
        if self.kernel == "matlab":
            found["rescaled"] = "float32"  # caches of rounded pixels, which it once gave, are others
        others = {"resize": "keep-aspect", "channel_order": "bgr", "scale": 1.0}
        return found | {
            key: getattr(self, key) for key, usual in others.items() if getattr(self, key) != usual
        }


@dataclass(frozen=True, eq=False)
class RescaledImage:
    """An image at several scales: ``pixels[Q]`` is (H, W, 3), BGR, 0-255, with smallest side Q: uint8, or
    float32 with fractions and overshoot where MATLAB's kernel was asked for. ``centre`` says where the centre
    crop of an odd margin lies; ``truncated``, whether the file ends early."""

    pixels: Mapping[int, AnyPixels]
    centre: Centre
    truncated: bool

    def size(self, stream: Stream, crop: int) -> Size:
        """Height and width that all of the stream's views of this image have."""
        if stream.view_kind != "dense":
            return crop, crop
        height, width, _ = self.pixels[stream.scale].shape
        return height, width

    def view(self, stream: Stream, number: int, crop: int) -> AnyPixels:
        """View ``number`` of the stream, (h, w, 3), in the memory of ``pixels``."""
        return cut_view(self.pixels[stream.scale], stream, number, crop, self.centre)


def cut_view(pixels: AnyPixels, stream: Stream, number: int, crop: int, centre: Centre) -> AnyPixels:
    """View ``number`` of the stream, (h, w, C), in the memory of ``pixels`` (H, W, C). The views of a flipped
    stream are the mirror images of the other's, in the same order."""
    if stream.view_kind != "dense":
        top, left = offsets(stream.view_kind, pixels, crop, centre)[number]
        pixels = pixels[top : top + crop, left : left + crop]
    return pixels[:, ::-1] if stream.flip else pixels


def offsets(views: str, pixels: AnyPixels, crop: int, centre: Centre) -> tuple[Offset, ...]:
    """Top and left of the crops of one kind ("centre", "five", "grid") in an image (H, W, C)."""
    height, width, _ = pixels.shape
    if views == "centre":
        return (centre_offset(height, width, crop, centre),)
    if views == "five":
        return five_crop_offsets(height, width, crop, centre)
    return grid_offsets(height, width, crop)


def read_rescaled(source: Source, index: int, scales: Iterable[int], reading: ImageReading) -> RescaledImage:
    """Read and decode an image, and rescale it to smallest sides ``scales`` in pixels. Raises DataError if it
    cannot be decoded, and ImageTooLargeError if it has too many pixels, as it is or rescaled."""
    return read_in_ways(source, index, {(): scales}, reading)[()]


def read_in_ways(
    source: Source,
    index: int,
    wanted: Mapping[ReadingChanges, Iterable[int]],
    reading: ImageReading,
    *,
    grey: bool = False,
) -> dict[ReadingChanges, RescaledImage]:
    """As :func:`read_rescaled`, for each of several changes of the ``reading`` to the scales that are
    ``wanted`` of it; in ``grey`` with one channel. The file is decoded once for each way of EXIF orientation,
    and rescaled once for each kernel and scale."""

    @cache
    def decoded(exif: Exif) -> Decoded:
        return source.decoded(index, grey=grey, exif=exif, max_pixels=reading.max_pixels)

    @cache
    def rescaled(exif: Exif, kernel: Kernel, smallest: int) -> AnyPixels:
        pixels: AnyPixels = decoded(exif).pixels
        if kernel == "matlab":
            pixels = pixels.astype(np.float32)  # the demo's im = single(im)
        try:
            return rescale(pixels, smallest, kernel, reading.resize)
        except ImageTooLargeError as error:
            raise ImageTooLargeError(f"{source.place(index)}: {error}") from error

    found = {}
    for changes, scales in wanted.items():
        way = reading.changed(changes)
        pixels = {q: rescaled(way.exif, way.kernel, q) for q in scales}
        found[changes] = RescaledImage(pixels, way.centre, decoded(way.exif).truncated)
    return found
