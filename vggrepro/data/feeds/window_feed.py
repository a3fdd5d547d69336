"""WindowData: windows of images, foreground and background, warped to one size."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.data.choices import Exif
from vggrepro.data.decode import Pixels
from vggrepro.data.feeds.base import DataLayer, Feed, Float32, batch_size
from vggrepro.data.feeds.image import read_mean_file
from vggrepro.data.feeds.window_file import CHANNELS, Window, WindowFile, read_window_file
from vggrepro.data.random_streams import Purpose, stream
from vggrepro.data.sources import FolderSource
from vggrepro.data.transform import resize
from vggrepro.errors import DataError


@dataclass(frozen=True)
class Cut:
    """Which part of an image fills which part of a crop. ``x1`` to ``y2`` are its corners, inclusive;
    ``height`` and ``width`` what it is warped to; ``top`` and ``left`` where that begins in the crop, and
    ``right`` how much is left free behind it, in pixels of the crop."""

    x1: int
    y1: int
    x2: int
    y2: int
    height: int
    width: int
    top: int = 0
    left: int = 0
    right: int = 0


def cut_of(window: Window, rows: int, columns: int, size: int, context_pad: int, *, square: bool) -> Cut:
    """The cut of a window for a crop of ``size`` x ``size``, in Caffe's float32 arithmetic.

    With ``context_pad`` the window grows so that this many pixels around it are in the crop; with ``square``
    the shorter side becomes as long as the other. What lies outside an image of ``rows`` x ``columns`` stays
    free. The caller sees to it that width and height fit into the crop.
    """
    x1, y1, x2, y2 = window.x1, window.y1, window.x2, window.y2
    if context_pad == 0 and not square:
        return Cut(x1, y1, x2, y2, size, size)
    scale = np.float32(size) / np.float32(size - 2 * context_pad)
    half_height, half_width = np.float32((y2 - y1 + 1) / 2), np.float32((x2 - x1 + 1) / 2)
    middle_x, middle_y = np.float32(x1) + half_width, np.float32(y1) + half_height
    if square:
        half_height = half_width = max(half_height, half_width)
    x1, x2 = _round(middle_x - half_width * scale), _round(middle_x + half_width * scale)
    y1, y2 = _round(middle_y - half_height * scale), _round(middle_y + half_height * scale)
    across = np.float32(size) / np.float32(x2 - x1 + 1)
    down = np.float32(size) / np.float32(y2 - y1 + 1)
    left, right = max(0, -x1), max(0, x2 - columns + 1)
    top, bottom = max(0, -y1), max(0, y2 - rows + 1)
    x1, x2, y1, y2 = x1 + left, x2 - right, y1 + top, y2 - bottom
    return Cut(
        x1,
        y1,
        x2,
        y2,
        height=_round(np.float32(y2 - y1 + 1) * down),
        width=_round(np.float32(x2 - x1 + 1) * across),
        top=_round(np.float32(top) * down),
        left=_round(np.float32(left) * across),
        right=_round(np.float32(right) * across),
    )


def _round(value: np.floating[Any]) -> int:
    """To the nearest whole number, halves away from zero, as C rounds."""
    return int(math.copysign(math.floor(abs(float(value)) + 0.5), value))


@dataclass(frozen=True, eq=False)
class WindowFeed(Feed):
    """Windows drawn at random, with replacement: the background ones of a batch first, then the
    foreground."""

    where: str
    tops: tuple[str, ...]
    windows: WindowFile
    source: FolderSource
    batch_size: int
    fg_fraction: float
    size: int
    context_pad: int
    square: bool
    mirror: bool
    scale: float
    mean: Float32
    """What is subtracted: (C, size, size)."""
    seed: int
    exif: Exif
    max_pixels: int

    def batch(self, iteration: int) -> dict[str, Float32]:
        data = np.zeros((self.batch_size, CHANNELS, self.size, self.size), np.float32)
        drawn = self._drawn(iteration)
        for crop, (window, mirrored) in zip(data, drawn, strict=True):
            self._fill(crop, window, mirrored)
        labels = np.array([window.label for window, _ in drawn], np.float32)
        return dict(zip(self.tops, (data, labels), strict=False))

    def place(self, iteration: int, row: int) -> str:
        window, _ = self._drawn(iteration)[row]
        return f"{self.source.place(window.image)}: window {_corners(window)}"

    def _drawn(self, iteration: int) -> list[tuple[Window, bool]]:
        rng = stream(self.seed, Purpose.BATCH, iteration)
        foreground = int(np.float32(self.batch_size) * np.float32(self.fg_fraction))
        drawn = []
        for kind, count, windows in (
            ("background", self.batch_size - foreground, self.windows.background),
            ("foreground", foreground, self.windows.foreground),
        ):
            if count and not windows:
                raise DataError(f"{self.where}: a batch has {count} {kind} windows, but the file has none")
            for _ in range(count):
                window = windows[int(rng.integers(len(windows)))]
                drawn.append((window, self.mirror and bool(rng.integers(2))))
        return drawn

    def _fill(self, crop: Float32, window: Window, mirrored: bool) -> None:
        """Put a window into a crop (C, size, size) of zeros."""
        where = self.source.place(window.image)
        decoded = self.source.decoded(window.image, exif=self.exif, max_pixels=self.max_pixels)
        pixels = decoded.warned(where)  # (H, W, C)
        rows, columns = pixels.shape[:2]
        cut = cut_of(window, rows, columns, self.size, self.context_pad, square=self.square)
        if not (0 <= cut.x1 <= cut.x2 < columns and 0 <= cut.y1 <= cut.y2 < rows):
            raise DataError(f"{where}: window {_corners(window)} is outside the image of {rows} x {columns}")
        left = cut.right if mirrored else cut.left
        height, width = min(cut.height, self.size - cut.top), min(cut.width, self.size - left)
        if height < 1 or width < 1:
            raise DataError(f"{where}: window {_corners(window)}: nothing of the image is in the crop")
        warped = _warped(pixels[cut.y1 : cut.y2 + 1, cut.x1 : cut.x2 + 1], height, width, mirrored)
        place = (slice(None), slice(cut.top, cut.top + height), slice(left, left + width))
        crop[place] = (warped - self.mean[place]) * np.float32(self.scale)


def _warped(pixels: Pixels, height: int, width: int, mirrored: bool) -> Float32:
    """(H, W, C) to float32 (C, height, width)."""
    warped = resize(np.ascontiguousarray(pixels), height, width).transpose(2, 0, 1)
    return np.asarray(warped[:, :, ::-1] if mirrored else warped, np.float32)


def _corners(window: Window) -> str:
    return f"({window.x1}, {window.y1}) to ({window.x2}, {window.y2})"


def open_window_data(layer: DataLayer) -> WindowFeed:
    """The feed of a WindowData layer. As in Caffe, ``scale`` is that of ``window_data_param``, and of
    ``transform_param`` only crop_size, mirror and the mean count; they do so in both phases."""
    data, transform = layer.param.window_data_param, layer.param.transform_param
    size, context_pad = transform.crop_size, data.context_pad
    if size < 1 or size <= 2 * context_pad:
        raise DataError(
            f"{layer.where}: crop_size must be positive and more than twice context_pad,"
            f" got {size} and {context_pad}"
        )
    if transform.HasField("scale"):
        warnings.warn(
            f"{layer.where}: WindowData reads window_data_param.scale, not transform_param.scale",
            stacklevel=2,
        )
    windows = read_window_file(layer.folder / data.source, data.fg_threshold, data.bg_threshold)
    return WindowFeed(
        layer.where,
        layer.tops,
        windows,
        FolderSource(layer.folder, tuple(data.root_folder + name for name in windows.images)),
        batch_size(data, layer.where),
        data.fg_fraction,
        size,
        context_pad,
        data.crop_mode == "square",
        transform.mirror,
        data.scale,
        _mean(transform, size, layer),
        layer.seed,
        layer.exif,
        layer.max_pixels,
    )


def _mean(transform: Any, size: int, layer: DataLayer) -> Float32:
    """The mean of each pixel of a crop: the middle of a mean image (which begins as far from the top as from
    the left, in Caffe as here), a value for each channel, or 0."""
    values: Float32 = np.array(transform.mean_value or [0.0], np.float32)
    if not transform.HasField("mean_file"):
        if len(values) not in (1, CHANNELS):
            raise DataError(
                f"{layer.where}: Specify either 1 mean_value or as many as channels: {CHANNELS}"
                f" (got {len(values)})"
            )
        return np.broadcast_to(values[:, None, None], (CHANNELS, size, size))
    if transform.mean_value:
        raise DataError(f"{layer.where}: Cannot specify mean_file and mean_value at the same time")
    image = read_mean_file(layer.folder / transform.mean_file)
    offset = (image.shape[2] - size) // 2
    middle = image[:, offset : offset + size, offset : offset + size] if offset >= 0 else image[:0]
    if middle.shape != (CHANNELS, size, size):
        raise DataError(f"{layer.where}: mean_file holds {image.shape}, too small for crops of {size}")
    return middle
