"""The structure of a JPEG file: its frame, its scans, and whether they hold all that the frame declares.

libjpeg, which decodes for Caffe, fills what is missing with mid-grey and says nothing. Most of what is
missing can be told from the markers alone: the end marker, restart markers, scans of every component and
down to the last bit of every coefficient. Entropy-coded data that end within a scan cannot; but there
libjpeg goes on to read what stands behind them. So bytes that are put there change the picture if, and only
if, data are missing (:func:`padded`), which costs a second decoding. :func:`may_lack_data` says which files
need it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

SOI, EOI = b"\xff\xd8", b"\xff\xd9"

_SOS, _DRI, _EOI = 0xDA, 0xDD, 0xD9
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_ALONE = frozenset({0x01, 0xD8, *range(0xD0, 0xD8)})
"""Markers without a segment."""

_IN_SCAN = re.compile(rb"\xff+[^\x00\xff]")
"""A marker among entropy-coded data, where 255 is written as FF 00."""

_FILLINGS = (b"\xaa\xf1\x77\x1e\xd2\x48\xc5\x36" * 8, b"\x5a\x33\x96\x0f\xc3\xa5\x1e\x78" * 8)
"""What is put behind scans, once the one and once the other: codes may mean the same by chance, as zeros do,
which libjpeg puts there itself. No byte is 255, and the first bits differ."""

_FEW_VALUES = 3 * 128 * 128
"""A picture of so few values is decoded again in any case: the last unit is much of it."""


class Frame(NamedTuple):
    """The start of a frame (SOFn): sizes in pixels; ids of the components, a byte each; their sampling
    factors, a byte each, horizontally in the upper four bits and vertically in the lower."""

    height: int
    width: int
    progressive: bool
    components: bytes
    factors: bytes

    @property
    def unit(self) -> tuple[int, int]:
        """Height and width of the unit that a scan of all components codes at a time, in pixels."""
        if len(self.factors) == 1:
            return 8, 8
        return 8 * max(f & 15 for f in self.factors), 8 * max(f >> 4 for f in self.factors)

    @property
    def units(self) -> int:
        """The number of such units."""
        down, across = self.unit
        return -(-self.height // max(down, 8)) * -(-self.width // max(across, 8))


class Scan(NamedTuple):
    """A start of scan (SOS): ids of its components, a byte each; the coefficients ``first`` to ``last``; the
    bit down to which they are coded when it is done; and where its entropy-coded data begin."""

    components: bytes
    first: int
    last: int
    low_bit: int
    start: int


class Jpeg(NamedTuple):
    """A JPEG file as far as its first scan, or as far as it goes."""

    data: bytes
    frame: Frame | None
    scan: Scan | None
    restart_interval: int

    @property
    def one_scan(self) -> bool:
        """Whether the first scan is to hold the whole picture."""
        frame, scan = self.frame, self.scan
        if frame is None or scan is None or frame.progressive:
            return False
        return scan.components == frame.components or set(scan.components) == set(frame.components)

    @property
    def ends_early(self) -> bool:
        """Whether markers are missing that a whole file has: the end marker, scans, restart markers."""
        if self.frame is None or self.scan is None:
            return True
        if self.one_scan:
            ended = self.data.endswith(EOI) or self.data.find(EOI, self.scan.start) >= 0
            return not ended or (self.restart_interval > 0 and self._lacks_restarts(self.frame, self.scan))
        scans, ended = _scans(self.data, self.scan)
        return not ended or not _complete(self.frame, scans)

    def _lacks_restarts(self, frame: Frame, scan: Scan) -> bool:
        end = self.data.find(EOI, scan.start)
        found = sum(self.data.count(bytes((0xFF, 0xD0 + i)), scan.start, end) for i in range(8))
        return found < -(-frame.units // self.restart_interval) - 1


def read_jpeg(data: bytes) -> Jpeg:
    """Read the segments up to the first scan. What is damaged is passed over as libjpeg does, by looking for
    the next marker."""
    frame, restart_interval = None, 0
    for marker, begin, end in _segments(data, len(SOI)):
        if marker in _FRAMES and frame is None:
            frame = _frame(marker, data[begin:end])
        elif marker == _DRI and end - begin >= 2:
            restart_interval = int.from_bytes(data[begin : begin + 2], "big")
        elif marker == _SOS:
            return Jpeg(data, frame, _scan(data[begin:end], end), restart_interval)
    return Jpeg(data, frame, None, restart_interval)


def may_lack_data(jpeg: Jpeg, pixels: npt.NDArray[np.uint8], *, turned: bool) -> bool:
    """Whether the entropy-coded data of a file with all its markers may yet be incomplete.

    ``pixels`` (H, W) or (H, W, C) are what libjpeg made of the file; ``turned`` if EXIF may have turned them.
    In a file of one scan, missing data leave the last unit mid-grey, if not more: then this is True, as it
    always is for files of several scans, of four components, and of few pixels. What is not found is a loss
    within the last of many units.
    """
    frame = jpeg.frame
    if frame is None or not jpeg.one_scan or len(frame.components) > 3 or pixels.size <= _FEW_VALUES:
        return True
    if not turned and not _near_grey(pixels):  # decides nearly always
        return False
    down, across = frame.unit
    rows, columns = (frame.height - 1) % down + 1, (frame.width - 1) % across + 1
    if not turned:
        return _is_mid_grey(pixels[-rows:, -columns:])
    side = min(rows, columns)
    near, far = slice(None, side), slice(-side, None)
    return any(_is_mid_grey(pixels[y, x]) for y in (near, far) for x in (near, far))


def _near_grey(pixels: npt.NDArray[np.uint8]) -> bool:
    """Whether the luma of the last pixel is about 128."""
    if pixels.ndim == 2:
        return abs(pixels.item(-1) - 128) <= 3
    luma = 29 * pixels.item(-3) + 150 * pixels.item(-2) + 77 * pixels.item(-1)
    return abs(luma - 256 * 128) <= 256 * 3


def _is_mid_grey(pixels: npt.NDArray[np.uint8]) -> bool:
    """Whether the luma of (h, w) or (h, w, 3) is 128 throughout, give or take rounding."""
    values = pixels.astype(np.int32)
    luma = values if values.ndim == 2 else (values @ (29, 150, 77) + 128) >> 8
    return bool((abs(luma - 128) <= 2).all())


def padded(jpeg: Jpeg) -> Iterator[bytes]:
    """The file with bytes put behind the data of every scan and restart interval, in two ways. Both decode to
    the same pixels as the file itself unless data are missing from it; then they may not decode at all."""
    start = len(jpeg.data) if jpeg.scan is None else jpeg.scan.start
    places = [start, *_ends_of_data(jpeg.data, start), len(jpeg.data)]
    if jpeg.one_scan and len(places) == 3:
        places[-1] = places[-2]  # no end marker: libjpeg would complain on stderr of the bytes in front of it
    for filling in _FILLINGS:
        yield jpeg.data[:start] + filling.join(jpeg.data[begin:end] for begin, end in pairwise(places))


def _segments(data: bytes, place: int) -> Iterator[tuple[int, int, int]]:
    """(marker, where its body begins and ends) of each segment from ``place`` on, up to the end marker or the
    end. Entropy-coded data behind a start of scan are passed over."""
    most = len(data) - 2
    while place <= most:
        marker = data[place + 1]
        if data[place] == 0xFF and 0 < marker < 0xFF:  # at once, as nearly always
            place += 2
        else:
            found = _IN_SCAN.search(data, place)
            if found is None:
                return
            marker, place = data[found.end() - 1], found.end()
        if marker == _EOI:
            yield marker, place, place
            return
        if marker in _ALONE:
            continue
        if place > most:
            return
        end = place + max(data[place] << 8 | data[place + 1], 2)
        if end > most + 2:
            return
        yield marker, place + 2, end
        place = end


def _frame(marker: int, body: bytes) -> Frame | None:
    if len(body) < 9 or len(body) < 6 + 3 * body[5] or not body[5]:
        return None
    end = 6 + 3 * body[5]
    height, width = body[1] << 8 | body[2], body[3] << 8 | body[4]
    return Frame(height, width, marker in _PROGRESSIVE, body[6:end:3], body[7:end:3])


def _scan(body: bytes, start: int) -> Scan | None:
    count = body[0] if body else 0
    if count < 1 or len(body) < 4 + 2 * count:
        return None
    first, last, bits = body[1 + 2 * count : 4 + 2 * count]
    return Scan(body[1 : 1 + 2 * count : 2], first, last, bits & 15, start)


def _scans(data: bytes, first: Scan) -> tuple[list[Scan], bool]:
    """All scans of a file, and whether the end marker follows them."""
    scans = [first]
    for marker, begin, end in _segments(data, first.start):
        if marker == _EOI:
            return scans, True
        scan = _scan(data[begin:end], end) if marker == _SOS else None
        if scan is not None:
            scans.append(scan)
    return scans, False


def _complete(frame: Frame, scans: list[Scan]) -> bool:
    """Whether the scans bring every coefficient of every component down to its last bit."""
    missing = {(component, k) for component in frame.components for k in range(64)}
    for scan in scans:
        span = range(scan.first, scan.last + 1) if frame.progressive else range(64)
        if scan.low_bit == 0 or not frame.progressive:
            missing -= {(component, k) for component in scan.components for k in span}
    return not missing


def _ends_of_data(data: bytes, start: int) -> Iterator[int]:
    """Where entropy-coded data end: before each restart marker, and before whatever follows a scan."""
    in_scan, place = True, start
    while True:
        found = _IN_SCAN.search(data, place)
        if found is None:
            return
        marker, place = data[found.end() - 1], found.end()
        if in_scan:
            yield found.start()
        if marker == _EOI:
            return
        if marker in _ALONE:
            continue
        place += int.from_bytes(data[place : place + 2], "big")
        in_scan = marker == _SOS
