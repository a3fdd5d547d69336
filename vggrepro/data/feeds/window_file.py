"""Caffe's window files: images, and windows in them with a class and an overlap with an object.

For each image: ``# number``, its path, its channels, height and width, how many windows follow, and for each
of these ``class overlap x1 y1 x2 y2``, corners inclusive, from 0. White space of any kind separates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vggrepro.errors import DataError
from vggrepro.system.file_names import failure

CHANNELS = 3


@dataclass(frozen=True)
class Window:
    """A rectangle of the ``image``-th image; ``x2`` and ``y2`` are its last column and row."""

    image: int
    label: int
    x1: int
    y1: int
    x2: int
    y2: int


@dataclass(frozen=True)
class WindowFile:
    """The images' paths, and the windows by what they show. Background windows have the label 0."""

    images: tuple[str, ...]
    foreground: tuple[Window, ...]
    background: tuple[Window, ...]


def read_window_file(path: Path, fg_threshold: float, bg_threshold: float) -> WindowFile:
    """Read a window file. A window is foreground from the overlap ``fg_threshold`` on, and background below
    ``bg_threshold``; others are left out.

    Raises DataError for a file that is none, an image of other than 3 channels, and a foreground window
    without a class.
    """
    try:
        text = path.read_text("utf-8", errors="surrogateescape")
    except OSError as error:
        raise DataError(f"Failed to open window file {path}: {failure(error)}") from error
    words = _Words(path, text)
    images: list[str] = []
    foreground: list[Window] = []
    background: list[Window] = []
    for mark in words:
        if mark != "#":
            raise DataError(f"{path}: expected '#' before image {len(images)}, got {mark!r}")
        number = words.whole("the number of an image")
        if number != len(images):
            raise DataError(f"{path}: image {number} where image {len(images)} should come")
        images.append(words.word("the path of an image"))
        channels, _, _ = (words.whole(what) for what in ("channels", "height", "width"))
        if channels != CHANNELS:
            raise DataError(f"{path}: image {number} has {channels} channels: Caffe reads {CHANNELS}")
        for _ in range(words.whole("the number of windows")):
            overlap, window = _window(words, number)
            if overlap >= np.float32(fg_threshold):
                if window.label <= 0:
                    raise DataError(f"{path}: image {number}: a foreground window of class {window.label}")
                foreground.append(window)
            elif overlap < np.float32(bg_threshold):
                background.append(Window(number, 0, window.x1, window.y1, window.x2, window.y2))
    if not images:
        raise DataError(f"{path}: Window file is empty")
    return WindowFile(tuple(images), tuple(foreground), tuple(background))


def _window(words: _Words, image: int) -> tuple[np.float32, Window]:
    label = words.whole("a class")
    overlap = words.number("an overlap")
    x1, y1, x2, y2 = (words.whole(name) for name in ("x1", "y1", "x2", "y2"))
    return np.float32(overlap), Window(image, label, x1, y1, x2, y2)


class _Words:
    """The words of a file, one after the other."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._words = iter(text.split())
        self._read = 0

    def __iter__(self) -> Iterator[str]:
        for word in self._words:
            self._read += 1
            yield word

    def word(self, what: str) -> str:
        word = next(iter(self), None)
        if word is None:
            raise DataError(f"{self._path}: ends after {self._read} words, where {what} should come")
        return word

    def whole(self, what: str) -> int:
        return int(self._parsed(what, int))

    def number(self, what: str) -> float:
        return self._parsed(what, float)

    def _parsed(self, what: str, kind: type[int] | type[float]) -> float:
        word = self.word(what)
        try:
            return kind(word)
        except ValueError:
            raise DataError(
                f"{self._path}: word {self._read}: expected {what}, a number, got {word!r}"
            ) from None
