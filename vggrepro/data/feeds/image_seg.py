"""ImageSegData and ImageLabelmapData: images and labels of their places, which the layers of DeepLab and HED
read from a list (not from BVLC Caffe; sources: DeepLab v2, s9xie/hed, yun-liu/RCF)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.data.decode import Pixels
from vggrepro.data.feeds.base import DataLayer, batch_size
from vggrepro.data.feeds.image import ImageFeed, check_sizes, checked_skip, transform_of
from vggrepro.data.feeds.image_pairs import ImagePairs
from vggrepro.data.transform import resize
from vggrepro.data.truth.labels import text_lines
from vggrepro.errors import DataError, naming


def read_entries(path: Path, *, labelled: bool) -> tuple[tuple[str, str], ...]:
    """Read DeepLab's list: in each line the name of an image file and, if ``labelled``, what its labels are.
    Raises DataError for an empty list and for an image without labels."""
    entries = []
    for number, line in text_lines(path, "surrogateescape"):
        image, *labels = line.split()
        if labelled and not labels:
            raise DataError(f"{path}:{number}: expected 'image labels', got no labels for {image!r}")
        entries.append((image, labels[0] if labelled else ""))
    if not entries:
        raise DataError(f"{path}: File is empty")
    return tuple(entries)


@dataclass(frozen=True, eq=False)
class SegmentedFeed(ImageFeed):
    """Images, labels of their places (N, 1, H, W), and the heights and widths of the images' files, no more
    than those of the first top, (N, 1, 1, 2).

    An image smaller than the crop has the mean on its right and below, and labels ``ignored`` there.
    """

    size: tuple[int, int] = (0, 0)
    """The height and width to which images are warped first; zeros leave them."""
    factors: tuple[float, ...] = ()
    ignored: int = 255

    def _example(self, index: int, rng: np.random.Generator) -> tuple[Any, ...]:
        image, labels = self.image(index, rng)
        file_size = image.shape[1:]
        image, labels = _warped(image, *self.size), _warped(np.asarray(labels), *self.size, nearest=True)
        factor = self.factors[int(rng.integers(len(self.factors)))] if self.factors else 1
        if factor != 1:
            size = [int(np.float32(side) * np.float32(factor)) for side in image.shape[1:]]
            image, labels = _warped(image, *size), _warped(labels, *size, nearest=True)
        image, labels = (
            self._padded(image, self.transform.mean_values or (0,)),
            self._padded(labels, (self.ignored,)),
        )
        crop = self.transform.draw_crop(image.shape, rng)
        blob = self.transform.apply(image, crop)
        return blob, crop(labels), np.minimum(blob.shape[1:], file_size)[None, None]

    def _padded(self, array: npt.NDArray[Any], values: tuple[float, ...]) -> npt.NDArray[Any]:
        channels, height, width = array.shape
        below, right = (max(self.transform.crop_size - side, 0) for side in (height, width))
        if not (below or right):
            return array
        padded = np.zeros((channels, height + below, width + right), np.float32)
        if len(values) in (1, channels):  # the transform refuses others
            padded[...] = np.array(values, np.float32)[:, None, None]
        padded[:, :height, :width] = array
        return padded


@dataclass(frozen=True, eq=False)
class EdgeFeed(ImageFeed):
    """Images, and pictures of their edges (N, 1, H, W): grey values as fractions of 255, which may be
    ``rounded`` to 0 and 1."""

    size: tuple[int, int] = (0, 0)
    rounded: bool = True

    def _example(self, index: int, rng: np.random.Generator) -> tuple[Any, ...]:
        image, labels = (_warped(np.asarray(array), *self.size) for array in self.image(index, rng))
        crop = self.transform.draw_crop(image.shape, rng)
        edges = crop(labels) / np.float32(255)
        return self.transform.apply(image, crop), np.rint(edges) if self.rounded else edges


def _warped(array: npt.NDArray[Any], height: int, width: int, *, nearest: bool = False) -> npt.NDArray[Any]:
    """(C, H, W) at another size."""
    pixels = np.ascontiguousarray(array.transpose(1, 2, 0))
    warped: npt.NDArray[Any] = resize(pixels, height, width, nearest=nearest).transpose(2, 0, 1)
    return warped


def open_image_seg_data(layer: DataLayer) -> SegmentedFeed:
    """The feed of an ImageSegData layer.

    Images are resized by linear interpolation, to ``new_height`` and ``new_width`` first and then by one of
    the ``scale_factors``; labels are those of the nearest places. Raises DataError for a ``mean_file``, as
    DeepLab does.

    DEVIATION: DeepLab interpolates labels too for ``new_height`` and ``new_width``, so that other classes
    appear between two; PSPNet takes the nearest, as here.
    """
    data = layer.param.image_data_param
    check_sizes(data, layer.where)
    if layer.param.transform_param.HasField("mean_file"):
        raise DataError(f"{layer.where}: ImageSegDataLayer does not support mean file")
    with naming(layer.where):
        entries = read_entries(layer.folder / data.source, labelled=data.label_type != data.NONE)
    return SegmentedFeed(
        layer.where,
        layer.tops,
        _reader(data, entries, layer),
        lambda index: f"{layer.folder / data.source}: {entries[index][0]}",
        len(entries),
        batch_size(data, layer.where) if data.HasField("batch_size") else 1,
        transform_of(layer, without=["scale_factors"], labelled=True),
        layer.seed,
        checked_skip(data, len(entries), layer),
        data.shuffle,
        size=(data.new_height, data.new_width),
        factors=tuple(layer.param.transform_param.scale_factors),
        ignored=data.ignore_label,
    )


def open_image_labelmap_data(layer: DataLayer) -> EdgeFeed:
    """The feed of an ImageLabelmapData layer. Crops are random in TEST too, as in HED."""
    data = layer.param.image_data_param
    check_sizes(data, layer.where)
    with naming(layer.where):
        entries = read_entries(layer.folder / data.source, labelled=True)
    pictures = type(data)(label_type=data.PIXEL, root_folder=data.root_folder, is_color=data.is_color)
    return EdgeFeed(
        layer.where,
        layer.tops,
        _reader(pictures, entries, layer),
        lambda index: f"{layer.folder / data.source}: {entries[index][0]}",
        len(entries),
        batch_size(data, layer.where),
        replace(transform_of(layer, labelled=True), train=True),
        layer.seed,
        checked_skip(data, len(entries), layer),
        data.shuffle,
        size=(data.new_height, data.new_width),
        rounded=not data.grey_labels,
    )


def _reader(
    data: Any, entries: tuple[tuple[str, str], ...], layer: DataLayer
) -> Callable[[int, np.random.Generator], tuple[npt.NDArray[Any], Pixels]]:
    """Reads an image (C, H, W) and its labels (1, H, W). Raises DataError."""
    files = ImagePairs.from_param(data, entries, layer)

    def labels(index: int, image: Pixels) -> Pixels:
        """The labels (H, W, 1) of an image (H, W, C)."""
        if data.label_type == data.PIXEL:
            picture = files.picture(index)
            files.check_sizes(index, image, picture)
            return picture
        name, text = entries[index]
        label = (
            data.ignore_label
            if data.label_type == data.NONE
            else _label(text, f"{layer.folder / data.source}: {name}")
        )
        return np.full((*image.shape[:2], 1), label, np.uint8)

    def read(index: int, _: np.random.Generator) -> tuple[npt.NDArray[Any], Pixels]:
        image = files.image(index)
        return image.transpose(2, 0, 1), labels(index, image).transpose(2, 0, 1)

    return read


def _label(text: str, place: str) -> int:
    """The label of a whole image. Raises DataError, which begins with the ``place``."""
    if text.isdecimal() and int(text) < 256:
        return int(text)
    raise DataError(f"{place}: label_type: IMAGE: expected a label of 0 to 255, got {text!r}")
