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
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

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

_FEW_UNITS = 64
"""A picture of so few units is decoded twice in any case: the last unit is much of it."""


@dataclass(frozen=True)
class Frame:
    """The start of a frame (SOFn): sizes in pixels; components by id, with their (horizontal, vertical)
    sampling factors."""

    height: int
    width: int
    progressive: bool
    components: dict[int, tuple[int, int]]

    @property
    def unit(self) -> tuple[int, int]:
        """Height and width of the unit that a scan of all components codes at a time, in pixels."""
        if len(self.components) == 1:
            return 8, 8
        across, down = zip(*self.components.values(), strict=True)
        return 8 * max(down), 8 * max(across)

    @property
    def units(self) -> int:
        """The number of such units."""
        down, across = self.unit
        return -(-self.height // down) * -(-self.width // across)


@dataclass(frozen=True)
class Scan:
    """A start of scan (SOS): its components, the coefficients ``first`` to ``last``, the bit down to which
    they are coded when it is done, and where its entropy-coded data begin."""

    components: tuple[int, ...]
    first: int
    last: int
    low_bit: int
    start: int


@dataclass(frozen=True)
class Jpeg:
    """A JPEG file as far as its first scan, or as far as it goes."""

    data: bytes
    frame: Frame | None
    scan: Scan | None
    restart_interval: int

    @property
    def one_scan(self) -> bool:
        """Whether the first scan is to hold the whole picture."""
        return (
            self.frame is not None
            and self.scan is not None
            and not self.frame.progressive
            and len(set(self.scan.components)) == len(self.frame.components)
        )

    @cached_property
    def ends_early(self) -> bool:
        """Whether markers are missing that a whole file has: the end marker, scans, restart markers."""
        if self.frame is None or self.scan is None:
            return True
        if self.one_scan:
            ended = self.data.endswith(EOI) or self.data.find(EOI, self.scan.start) >= 0
            return not ended or self._lacks_restarts(self.frame)
        scans, ended = _scans(self.data, self.scan)
        return not ended or not _complete(self.frame, scans)

    def _lacks_restarts(self, frame: Frame) -> bool:
        if not self.restart_interval or self.scan is None:
            return False
        end = self.data.find(EOI, self.scan.start)
        found = sum(self.data.count(bytes((0xFF, 0xD0 + i)), self.scan.start, end) for i in range(8))
        return found < -(-frame.units // self.restart_interval) - 1


def read_jpeg(data: bytes) -> Jpeg:
    """Read the segments up to the first scan. What is damaged is passed over as libjpeg does, by looking for
    the next marker."""
    frame, restart_interval = None, 0
    for marker, body, end in _segments(data, len(SOI)):
        if marker in _FRAMES and frame is None:
            frame = _frame(marker, body)
        elif marker == _DRI and len(body) >= 2:
            restart_interval = int.from_bytes(body[:2], "big")
        elif marker == _SOS:
            return Jpeg(data, frame, _scan(body, end), restart_interval)
    return Jpeg(data, frame, None, restart_interval)


def may_lack_data(jpeg: Jpeg, pixels: npt.NDArray[np.uint8], *, turned: bool) -> bool:
    """Whether the entropy-coded data of a file with all its markers may yet be incomplete.

    ``pixels`` (H, W) or (H, W, C) are what libjpeg made of the file; ``turned`` if EXIF may have turned them.
    In a file of one scan, missing data leave the last unit mid-grey, if not more: then this is True, as it
    always is for files of several scans, of four components, and of few units. What is not found is a loss
    within the last of many units.
    """
    frame = jpeg.frame
    if frame is None or not jpeg.one_scan or len(frame.components) > 3 or frame.units <= _FEW_UNITS:
        return True
    down, across = frame.unit
    rows, columns = (frame.height - 1) % down + 1, (frame.width - 1) % across + 1
    if not turned:
        return _is_mid_grey(pixels[-rows:, -columns:])
    side = min(rows, columns)
    near, far = slice(None, side), slice(-side, None)
    return any(_is_mid_grey(pixels[y, x]) for y in (near, far) for x in (near, far))


def _is_mid_grey(pixels: npt.NDArray[np.uint8]) -> bool:
    """Whether the luma of (h, w) or (h, w, 3) is 128 throughout, give or take rounding."""
    if pixels.ndim == 2:
        return bool((abs(pixels.astype(np.int32) - 128) <= 2).all())
    blue, green, red = pixels[0, 0].tolist()
    if abs(29 * blue + 150 * green + 77 * red - 128 * 256) > 3 * 256:  # decides nearly always
        return False
    luma = (pixels.astype(np.int32) @ (29, 150, 77) + 128) >> 8
    return bool((abs(luma - 128) <= 2).all())


def padded(jpeg: Jpeg) -> Iterator[bytes]:
    """The file with bytes put behind the data of every scan and restart interval, in two ways. Both decode to
    the same pixels as the file itself unless data are missing from it."""
    start = len(jpeg.data) if jpeg.scan is None else jpeg.scan.start
    places = [start, *_ends_of_data(jpeg.data, start), len(jpeg.data)]
    for filling in _FILLINGS:
        yield jpeg.data[:start] + filling.join(jpeg.data[begin:end] for begin, end in pairwise(places))


def _segments(data: bytes, place: int) -> Iterator[tuple[int, bytes, int]]:
    """(marker, body, where it ends) of each segment from ``place`` on, up to the end marker or the end.

    The caller must stop at a start of scan, whose data are no segments, or skip them himself.
    """
    while True:
        found = _IN_SCAN.search(data, place)
        if found is None:
            return
        marker, place = data[found.end() - 1], found.end()
        if marker == _EOI:
            yield marker, b"", place
            return
        if marker in _ALONE:
            continue
        length = max(int.from_bytes(data[place : place + 2], "big"), 2)
        if place + length > len(data):
            return
        yield marker, data[place + 2 : place + length], place + length
        place += length


def _frame(marker: int, body: bytes) -> Frame | None:
    if len(body) < 6 or len(body) < 6 + 3 * body[5]:
        return None
    fields = (body[6 + 3 * i : 9 + 3 * i] for i in range(body[5]))
    components = {field[0]: (max(field[1] >> 4, 1), max(field[1] & 15, 1)) for field in fields}
    if not components:
        return None
    height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    return Frame(height, width, marker in _PROGRESSIVE, components)


def _scan(body: bytes, start: int) -> Scan | None:
    count = body[0] if body else 0
    if count < 1 or len(body) < 4 + 2 * count:
        return None
    first, last, bits = body[1 + 2 * count : 4 + 2 * count]
    return Scan(tuple(body[1 : 1 + 2 * count : 2]), first, last, bits & 15, start)


def _scans(data: bytes, first: Scan) -> tuple[list[Scan], bool]:
    """All scans of a file, and whether the end marker follows them."""
    scans, place = [first], first.start
    for marker, body, end in _segments(data, place):
        if marker == _EOI:
            return scans, True
        scan = _scan(body, end) if marker == _SOS else None
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
