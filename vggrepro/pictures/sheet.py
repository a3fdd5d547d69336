"""Tiles put together to one picture: in rows under titles, or in a grid; and written as PNG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vggrepro.data.decode import Pixels
from vggrepro.data.image_header import check_pixels
from vggrepro.data.opencv import opencv
from vggrepro.errors import DataError
from vggrepro.system.atomic import replacing

BACKGROUND = 48
"""Grey level between the tiles: titles are light on it, whatever page the picture stands on."""

_INK = 235
_GAP = 8
_TITLE = 22
"""Height of a line of text in pixels."""
_FONT_SCALE = 0.45

Place = tuple[int, int]
"""Top and left of a tile in its picture."""


@dataclass(frozen=True, eq=False)
class Panel:
    """Tiles (h, w, 3) that stand in a row under a ``title``."""

    title: str
    tiles: tuple[Pixels, ...]


@dataclass(frozen=True, eq=False)
class Sheet:
    """A picture, uint8 (H, W, 3) in B, G, R. ``places[p][t]`` is where tile t of panel p stands."""

    pixels: Pixels
    places: tuple[tuple[Place, ...], ...]


def sheet(panels: Sequence[Panel]) -> Sheet:
    """Panels below one another. Raises ImageTooLargeError for more pixels than a picture may have."""
    places, top = [], _GAP
    for panel in panels:
        top += _TITLE
        lefts = np.cumsum([_GAP, *(tile.shape[1] + _GAP for tile in panel.tiles)]).tolist()
        places.append(tuple((top, left) for left in lefts[:-1]))
        top += max(tile.shape[0] for tile in panel.tiles) + _GAP
    rows = [sum(tile.shape[1] + _GAP for tile in panel.tiles) for panel in panels]
    width = _GAP + max([*rows, *(_text_width(panel.title) + _GAP for panel in panels)])
    pixels = _empty(top, width, 3)
    for panel, row in zip(panels, places, strict=True):
        _write(pixels, panel.title, row[0][0] - 7, _GAP)
        for tile, place in zip(panel.tiles, row, strict=True):
            _put(pixels, tile, place)
    return Sheet(pixels, tuple(places))


def grid_columns(count: int) -> int:
    """How many tiles stand side by side in a grid of ``count``: as many as below one another, or one more."""
    return math.ceil(math.sqrt(count))


def grid_places(count: int, height: int, width: int, gap: int) -> list[Place]:
    """Where the tiles of a grid stand, row by row, with ``gap`` pixels around each."""
    columns = grid_columns(count)
    return [(gap + i // columns * (height + gap), gap + i % columns * (width + gap)) for i in range(count)]


def grid(tiles: Pixels, *, zoom: int = 1, gap: int = 1) -> Pixels:
    """Tiles (n, h, w, C) as one picture (H, W, C), each pixel of them ``zoom`` pixels wide and high. Raises
    ImageTooLargeError for more pixels than a picture may have."""
    count, height, width, channels = tiles.shape
    places = grid_places(count, height * zoom, width * zoom, gap)
    bottom = places[-1][0] + height * zoom + gap
    pixels = _empty(bottom, gap + grid_columns(count) * (width * zoom + gap), channels)
    for tile, place in zip(tiles, places, strict=True):
        _put(pixels, tile.repeat(zoom, axis=0).repeat(zoom, axis=1), place)
    return pixels


def write_png(path: Path, pixels: Pixels) -> None:
    """Write a picture (H, W, 3) in B, G, R, or (H, W, 1). Raises OSError."""
    written, data = opencv().imencode(".png", pixels, [opencv().IMWRITE_PNG_COMPRESSION, 9])
    if not written:
        raise DataError(f"{path}: OpenCV cannot write a PNG of {pixels.shape[0]} x {pixels.shape[1]}")
    with replacing(path) as file:
        file.write(data.tobytes())


def _empty(height: int, width: int, channels: int) -> Pixels:
    check_pixels(height, width, "the picture")
    return np.full((height, width, channels), BACKGROUND, np.uint8)


def _put(pixels: Pixels, tile: Pixels, place: Place) -> None:
    top, left = place
    pixels[top : top + tile.shape[0], left : left + tile.shape[1]] = tile


def _write(pixels: Pixels, text: str, bottom: int, left: int) -> None:
    cv2 = opencv()
    ink = (_INK, _INK, _INK)
    cv2.putText(
        pixels, _ascii(text), (left, bottom), cv2.FONT_HERSHEY_SIMPLEX, _FONT_SCALE, ink, 1, cv2.LINE_AA
    )


def _text_width(text: str) -> int:
    cv2 = opencv()
    (width, _), _ = cv2.getTextSize(_ascii(text), cv2.FONT_HERSHEY_SIMPLEX, _FONT_SCALE, 1)
    return int(width)


def _ascii(text: str) -> str:
    """A text in the characters that OpenCV can draw."""
    return text.encode("ascii", "backslashreplace").decode()
