"""VideoData: frames of videos, or their optical flow, from folders of pictures, which temporal segment
networks are trained with (not from BVLC Caffe; source: yjxiong/caffe)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.messages import TRAIN
from vggrepro.data.choices import Exif
from vggrepro.data.feeds.base import DataLayer, batch_size
from vggrepro.data.feeds.image import ImageFeed, check_sizes, transform_of
from vggrepro.data.sources import FolderSource
from vggrepro.data.transform import Transform, resize
from vggrepro.data.truth.labels import is_integer, text_lines
from vggrepro.errors import DataError, naming

FRAMES = "image_%04d.jpg"
FLOW = "flow_%c_%04d.jpg"
"""The names of pictures where ``name_pattern`` gives none. They are numbered from 1."""


MOST_FRAMES = 10_000
"""That are taken of a video at once."""


@dataclass(frozen=True)
class Video:
    """A folder of pictures, how many frames it has, and the label."""

    folder: str
    frames: int
    label: int


def has_segments(param: Any) -> bool:
    """Whether a VideoData layer is that of yjxiong/caffe: those of SSD (cameras and films) and of C3D (clips
    that begin at a given frame) have none of its fields."""
    data = param.video_data_param
    return any(data.HasField(name) for name in ("num_segments", "modality", "name_pattern"))


def read_videos(path: Path) -> tuple[Video, ...]:
    """Read a list: in each line a folder, its number of frames and a label. Raises DataError."""
    videos = []
    for number, line in text_lines(path, "surrogateescape"):
        fields = line.split()
        if len(fields) != 3 or not all(map(is_integer, fields[1:])):
            raise DataError(f"{path}:{number}: expected 'folder frames label', got {line!r}")
        videos.append(Video(fields[0], int(fields[1]), int(fields[2])))
    if not videos:
        raise DataError(f"{path}: File is empty")
    return tuple(videos)


@dataclass(frozen=True)
class Segments:
    """Which frames of a video are taken: ``length`` in a row of each of ``count`` parts of the same size."""

    count: int
    length: int
    drawn: bool
    """Whether the first of them is drawn, as in TRAIN; otherwise they are the middle of their part."""

    def first_frames(self, frames: int, rng: np.random.Generator) -> list[int]:
        """The first frame, from 1, of each part of a video. In a video whose parts are too short all parts
        begin at its first frame."""
        part = frames // self.count
        free = part - self.length + 1
        if free < 1:
            return [1] * self.count
        offsets = (int(rng.integers(free)) if self.drawn else free // 2 for _ in range(self.count))
        return [1 + number * part + offset for number, offset in enumerate(offsets)]


@dataclass(frozen=True)
class Pictures:
    """The pictures of videos below ``root``, by their ``pattern``."""

    root: Path
    pattern: str
    flow: bool
    grey: bool
    size: tuple[int, int]
    """The height and width to which pictures are warped; zeros leave them."""
    exif: Exif
    max_pixels: int

    @property
    def channels(self) -> int:
        """Of one frame."""
        return 2 if self.flow else 1 if self.grey else 3

    def read(self, folder: str, frames: list[int]) -> npt.NDArray[Any]:
        """The planes (C, H, W) of some frames: blue, green and red of each, or x and y of the flow. Raises
        DataError if a picture cannot be decoded, or has another size than the others."""
        source = FolderSource(self.root, tuple(f"{folder}/{name}" for name in self._names(frames)))
        planes: list[npt.NDArray[Any]] = []
        for index in range(len(source)):
            decoded = source.decoded(
                index, grey=self.flow or self.grey, exif=self.exif, max_pixels=self.max_pixels
            )
            picture = resize(decoded.warned(source.place(index)), *self.size).transpose(2, 0, 1)
            if planes and picture.shape != planes[0].shape:
                height, width = planes[0].shape[1:]
                raise DataError(
                    f"{source.place(index)}: {picture.shape[1]} x {picture.shape[2]}, the first frame is"
                    f" {height} x {width}"
                )
            planes.append(picture)
        return np.concatenate(planes)

    @classmethod
    def from_param(cls, data: Any, layer: DataLayer) -> Pictures:
        """The pictures that the ``VideoDataParameter`` of a layer tells of."""
        flow = data.modality == data.FLOW
        pattern = data.name_pattern or (FLOW if flow else FRAMES)
        size = (data.new_height, data.new_width)
        return cls(layer.folder, pattern, flow, data.grayscale, size, layer.exif, layer.max_pixels)

    def _names(self, frames: list[int]) -> list[str]:
        values: list[tuple[str | int, ...]]
        values = [(axis, frame) for frame in frames for axis in "xy"] if self.flow else [(f,) for f in frames]
        try:
            return [self.pattern % value for value in values]
        except (TypeError, ValueError) as error:
            raise DataError(
                f"name_pattern {self.pattern!r}: {error}; one is {FLOW if self.flow else FRAMES}"
            ) from error


def open_video_data(layer: DataLayer) -> ImageFeed:
    """The feed of a VideoData layer: (N, channels * new_length * num_segments, H, W), and the labels
    (N, 1, 1, 1).

    DEVIATION: yjxiong/caffe leaves the place of a video whose pictures cannot be read as it is.
    """
    data = layer.param.video_data_param
    check_sizes(data, layer.where)
    frames = data.num_segments * data.new_length
    if not 0 < frames <= MOST_FRAMES:
        raise DataError(
            f"{layer.where}: num_segments * new_length: expected 1 to {MOST_FRAMES}, got {frames}"
        )
    with naming(layer.where):
        videos = read_videos(layer.folder / data.source)
    pictures = Pictures.from_param(data, layer)
    segments = Segments(data.num_segments, data.new_length, layer.phase == TRAIN)

    def read(index: int, rng: np.random.Generator) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        video = videos[index]
        first = segments.first_frames(video.frames, rng)
        with naming(layer.where):
            planes = pictures.read(
                video.folder, [start + step for start in first for step in range(data.new_length)]
            )
        return planes, np.full((1, 1, 1), video.label)

    return ImageFeed(
        layer.where,
        layer.tops,
        read,
        lambda index: f"{layer.folder / data.source}: {videos[index].folder}",
        len(videos),
        batch_size(data, layer.where),
        _with_means_of_frames(transform_of(layer), pictures, segments),
        layer.seed,
        0,
        data.shuffle,
    )


def _with_means_of_frames(transform: Transform, pictures: Pictures, segments: Segments) -> Transform:
    """The transform with the mean values of a frame, or of several, repeated for all frames."""
    channels, values = pictures.channels * segments.count * segments.length, transform.mean_values
    if not values or channels % len(values):
        return transform
    return replace(transform, mean_values=values * (channels // len(values)))
