"""Data and ImageData: batches of transformed images and their labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.binary import read_blob
from vggrepro.data.datum import datum_array
from vggrepro.data.feeds.base import DataLayer, Feed, Float32, batch_size, random_skip
from vggrepro.data.random_streams import Purpose, epoch_order, stream
from vggrepro.data.sources import FolderSource, LmdbSource
from vggrepro.data.sources.leveldb import LevelDbSource, is_leveldb
from vggrepro.data.sources.lmdb import is_lmdb
from vggrepro.data.transform import Transform, resize
from vggrepro.data.truth.labels import read_list
from vggrepro.errors import DataError, UnsupportedError


@dataclass(frozen=True, eq=False)
class ImageFeed(Feed):
    """Images in turn, from the start again at the end, also within a batch."""

    where: str
    tops: tuple[str, ...]
    image: Callable[[int, np.random.Generator], tuple[npt.NDArray[Any], int | npt.NDArray[Any]]]
    """The untransformed (C, H, W) and the label of an image, or an array of labels, as (1, H, W) of its
    places. The generator is for what is drawn before the transform."""
    image_place: Callable[[int], str]
    """Where an image and its label are, for messages."""
    images: int
    batch_size: int
    transform: Transform
    seed: int
    skip: int
    shuffle: bool = False

    def batch(self, iteration: int) -> dict[str, Float32]:
        rng = stream(self.seed, Purpose.BATCH, iteration)
        first = self.skip + iteration * self.batch_size
        examples: list[tuple[npt.NDArray[Any] | int, ...]] = []
        sizes: list[tuple[int, ...]] = []
        for place in range(first, first + self.batch_size):
            image, *others = self._example(self._index(place), rng)
            examples.append((image, *others))
            sizes.append(image.shape)
            if sizes[-1] != sizes[0]:
                raise DataError(
                    f"{self.where}: images of {sizes[0]} and {sizes[-1]} in one batch:"
                    f" {_unequal(sizes[-1], sizes[0])}: set crop_size, new_height and new_width,"
                    " or batch_size: 1"
                )
        arrays = (np.array(column, np.float32) for column in zip(*examples, strict=True))
        return dict(zip(self.tops, arrays, strict=False))  # the label's top may be left out

    def _example(self, index: int, rng: np.random.Generator) -> tuple[Any, ...]:
        """What the tops get of an image, the transformed (C, h, w) first."""
        array, label = self.image(index, rng)
        return self.transform(array, rng), label

    def place(self, iteration: int, row: int) -> str:
        return self.image_place(self._index(self.skip + iteration * self.batch_size + row))

    def _index(self, place: int) -> int:
        epoch, index = divmod(place, self.images)
        return int(epoch_order(self.seed, epoch, self.images)[index]) if self.shuffle else index


def _unequal(image: tuple[int, ...], batch: tuple[int, ...]) -> str:
    """In Caffe's words, the first size of an image (C, H, W) that is not the batch's."""
    names = zip(("channels", "height", "width"), image, batch, strict=True)
    return next(f"img_{name} == {name} ({one} vs. {other})" for name, one, other in names if one != other)


def read_mean_file(path: Path) -> Float32:
    """The (C, H, W) image of a ``mean_file``, as compute_image_mean writes it."""
    blob = read_blob(path)
    if blob.ndim != 4 or blob.shape[0] != 1:
        raise DataError(f"{path}: holds an array of {blob.shape}, expected a mean image (1, C, H, W)")
    mean: Float32 = blob[0]
    return mean


def open_data(layer: DataLayer) -> ImageFeed:
    """The feed of a Data layer: Datums of an LMDB or LevelDB in the order of their keys."""
    data = layer.param.data_param
    size = batch_size(data, layer.where)
    transform = transform_of(layer)
    source = open_database(data, layer.folder / data.source, layer.where)

    def image(index: int, _: np.random.Generator) -> tuple[npt.NDArray[Any], int]:
        datum = source.datum(index)
        array = datum_array(
            datum,
            source.place(index),
            force_color=transform.force_color,
            force_gray=transform.force_gray,
            max_pixels=layer.max_pixels,
        )
        return array, datum.label

    return ImageFeed(
        layer.where,
        layer.tops,
        image,
        source.place,
        len(source),
        size,
        transform,
        layer.seed,
        random_skip(data, layer.seed),
    )


def open_database(data: Any, path: Path, where: str) -> LmdbSource:
    """The database of a ``data_param``, whose ``backend`` must be what is there."""
    if data.backend == data.LMDB:
        return LmdbSource.open(path)
    if not is_leveldb(path):
        found = "; it is an LMDB: backend: LMDB reads it" if is_lmdb(path) else ""
        raise UnsupportedError(f"{where}: data_param.backend LEVELDB: {path} is no LevelDB{found}")
    return LevelDbSource.open(path)


def open_image_data(layer: DataLayer) -> ImageFeed:
    """The feed of an ImageData layer: the files of a list, warped to one size if it says so."""
    data = layer.param.image_data_param
    check_sizes(data, layer.where)
    size = batch_size(data, layer.where)
    transform = transform_of(layer)
    listing = layer.folder / data.source
    entries = read_list(listing)
    # Caffe joins the strings without a separator, so root_folder may be the beginning of a name.
    source = FolderSource(layer.folder, tuple(data.root_folder + key for key, _ in entries))
    skip = checked_skip(data, len(entries), layer)

    def image(index: int, _: np.random.Generator) -> tuple[npt.NDArray[Any], int]:
        decoded = source.decoded(index, grey=not data.is_color, exif=layer.exif, max_pixels=layer.max_pixels)
        pixels = decoded.warned(source.place(index))
        return resize(pixels, data.new_height, data.new_width).transpose(2, 0, 1), entries[index][1]

    def place(index: int) -> str:
        return f"{listing}: {entries[index][0]}"

    return ImageFeed(
        layer.where, layer.tops, image, place, len(entries), size, transform, layer.seed, skip, data.shuffle
    )


def check_sizes(data: Any, where: str) -> None:
    """Raise DataError unless both or none of ``new_height`` and ``new_width`` are set."""
    if (data.new_height == 0) != (data.new_width == 0):
        raise DataError(
            f"{where}: Current implementation requires new_height and new_width to be set at the same time."
        )


def checked_skip(data: Any, images: int, layer: DataLayer) -> int:
    """How many of a list's images ``rand_skip`` leaves out at the start. Raises DataError if none is left."""
    skip = random_skip(data, layer.seed)
    if skip >= images:
        raise DataError(f"{layer.where}: Not enough points to skip: {skip} of {images} images")
    return skip


def transform_of(layer: DataLayer, *, without: Sequence[str] = (), labelled: bool = False) -> Transform:
    """The ``transform_param`` of a data layer, ``without`` the fields that the layer reads itself. Raises
    UnsupportedError for crops of several sizes where labels of places are cut with the images
    (``labelled``)."""
    given = type(layer.param.transform_param)()
    given.CopyFrom(layer.param.transform_param)
    if labelled and given.multi_scale:
        raise UnsupportedError(
            f"{layer.where}: transform_param: multi_scale is not done with labels of places"
        )
    for name in without:
        given.ClearField(name)
    return Transform.from_param(
        given, layer.phase, layer.where, lambda name: read_mean_file(layer.folder / name)
    )
