"""An image file as the Datum that Caffe's convert_imageset makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vggrepro.caffe.messages import Datum
from vggrepro.data.decode import Pixels, decode
from vggrepro.data.image_header import MAX_FILE_BYTES
from vggrepro.data.opencv import opencv
from vggrepro.data.sources.regular_file import read_regular
from vggrepro.data.transform import resize
from vggrepro.errors import UnsupportedError


@dataclass(frozen=True)
class DatumFormat:
    """How images become Datums. ``height`` and ``width`` (0: not given) are what they are warped to; one
    alone changes no size. ``encoded`` keeps a file as it is, also with ``grey``; where a size is given, or
    the name ends otherwise than ``encode_type`` (empty: as the name ends), its pixels are encoded anew."""

    grey: bool = False
    height: int = 0
    width: int = 0
    encoded: bool = False
    encode_type: str = ""

    def datum(self, path: Path, name: str, label: int) -> Any:
        """The Datum of the file at ``path``, called ``name`` in the list. Raises DataError where Caffe finds
        no image in it, UnsupportedError for a type that OpenCV does not encode."""
        data = read_regular(path, MAX_FILE_BYTES, f"{path}: Could not open or find file")
        pixels = decode(data, str(path), grey=self.grey).warned(str(path))
        if self.height and self.width:
            pixels = resize(pixels, self.height, self.width)
        if not self.encoded:
            channels, height, width = pixels.shape[2], *pixels.shape[:2]
            bare = pixels.transpose(2, 0, 1).tobytes()
            return Datum(channels=channels, height=height, width=width, data=bare, label=label, encoded=False)
        kind = self.encode_type or _ending(name)
        if self.height or self.width or not _is_of_kind(name, kind):
            data = _encode(pixels, kind, str(path))
        return Datum(data=data, label=label, encoded=True)


def _ending(name: str) -> str:
    """What a name ends with, behind its last point, in small letters."""
    _, point, ending = name.rpartition(".")
    return ending.lower() if point else ""


def _is_of_kind(name: str, kind: str) -> bool:
    return _ending(name) == kind.lower() or (kind.lower() == "jpg" and _ending(name) == "jpeg")


def _encode(pixels: Pixels, kind: str, where: str) -> bytes:
    cv2 = opencv()
    if not kind.isascii():  # bytes that are no UTF-8 would end the process
        raise UnsupportedError(f"{where}: cannot be encoded as {kind!r}")
    try:
        done, encoded = cv2.imencode(f".{kind}", pixels)
    except cv2.error as error:
        reason = " ".join(str(error).split())
        raise UnsupportedError(f"{where}: cannot be encoded as {kind!r}: {reason}") from error
    if not done:
        raise UnsupportedError(f"{where}: cannot be encoded as {kind!r}")
    return bytes(encoded.tobytes())
