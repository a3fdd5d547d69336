"""Small pictures for the report, inside the page."""

from __future__ import annotations

import base64
from collections.abc import Iterable

from vggrepro.data.choices import MAX_PIXELS, Exif
from vggrepro.data.opencv import opencv
from vggrepro.data.sources.base import Source
from vggrepro.errors import DataError

_LONGEST = 256
_QUALITY = 80


def thumbnails(
    source: Source, indexes: Iterable[int], exif: Exif, *, max_pixels: int = MAX_PIXELS
) -> dict[int, str]:
    """JPEG data URIs of the images at ``indexes``, at most 256 pixels long and never enlarged."""
    return {index: _data_uri(source, index, exif, max_pixels) for index in indexes}


def _data_uri(source: Source, index: int, exif: Exif, max_pixels: int) -> str:
    cv2 = opencv()
    pixels = source.decoded(index, exif=exif, max_pixels=max_pixels).pixels
    height, width, _ = pixels.shape
    scale = min(1.0, _LONGEST / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    written, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not written:
        raise DataError(f"{source.place(index)}: cannot be written as JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
