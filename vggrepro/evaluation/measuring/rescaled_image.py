"""An image at the scales that streams ask for, and its views, which share the memory of these copies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vggrepro.data.decode import Exif, Pixels
from vggrepro.data.image_header import MAX_PIXELS
from vggrepro.data.preprocess import (
    Centre,
    Kernel,
    Offset,
    centre_offset,
    cut,
    five_crop_offsets,
    grid_offsets,
    mirror,
    rescale,
)
from vggrepro.data.sources.base import Source
from vggrepro.errors import ImageTooLargeError
from vggrepro.evaluation.measuring.view_batches import Size
from vggrepro.evaluation.protocols import Stream


@dataclass(frozen=True)
class ImageReading:
    """How images become pixels, where the paper leaves a choice (see :mod:`vggrepro.data.preprocess`)."""

    exif: Exif = "ignore"
    kernel: Kernel = "linear"
    centre: Centre = "floor"
    max_pixels: int = field(default=MAX_PIXELS, compare=False)
    """Most pixels of an image; no fact of a result, since more are an error."""

    def facts(self) -> dict[str, Any]:
        """The choices, ready for JSON."""
        return {"exif": self.exif, "kernel": self.kernel, "centre": self.centre}


@dataclass(frozen=True, eq=False)
class RescaledImage:
    """An image at several scales: ``pixels[Q]`` is (H, W, 3) uint8, BGR, with smallest side Q. ``centre``
    says where the centre crop of an odd margin lies; ``truncated``, whether the file ends early."""

    pixels: Mapping[int, Pixels]
    centre: Centre
    truncated: bool

    def size(self, stream: Stream, crop: int) -> Size:
        """Height and width that all of the stream's views of this image have."""
        if stream.view_kind != "dense":
            return crop, crop
        height, width, _ = self.pixels[stream.scale].shape
        return height, width

    def view(self, stream: Stream, number: int, crop: int) -> Pixels:
        """View ``number`` of the stream, (h, w, 3), in the memory of ``pixels``. The views of a flipped
        stream are the mirror images of the other's, in the same order."""
        pixels = self.pixels[stream.scale]
        if stream.view_kind != "dense":
            pixels = cut(pixels, offsets(stream.view_kind, pixels, crop, self.centre)[number], crop)
        return mirror(pixels) if stream.flip else pixels


def offsets(views: str, pixels: Pixels, crop: int, centre: Centre) -> tuple[Offset, ...]:
    """Top and left of the crops of one kind ("centre", "five", "grid") in an image (H, W, 3)."""
    height, width, _ = pixels.shape
    if views == "centre":
        return (centre_offset(height, width, crop, centre),)
    if views == "five":
        return five_crop_offsets(height, width, crop, centre)
    return grid_offsets(height, width, crop)


def read_rescaled(source: Source, index: int, scales: Iterable[int], reading: ImageReading) -> RescaledImage:
    """Read and decode an image, and rescale it to smallest sides ``scales`` in pixels. Raises DataError if it
    cannot be decoded, and ImageTooLargeError if it has too many pixels, as it is or rescaled."""
    decoded = source.decoded(index, exif=reading.exif, max_pixels=reading.max_pixels)
    try:
        pixels = {scale: rescale(decoded.pixels, scale, reading.kernel) for scale in scales}
    except ImageTooLargeError as error:
        raise ImageTooLargeError(f"{source.place(index)}: {error}") from error
    return RescaledImage(pixels, reading.centre, decoded.truncated)
