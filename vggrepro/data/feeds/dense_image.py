"""DenseImageData: images and pictures of their labels, one label for each place, which SegNet's layer reads
from a list (not from BVLC Caffe; source: alexgkendall/caffe-segnet)."""

from __future__ import annotations

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
from vggrepro.errors import DataError, UnsupportedError, naming


def read_pairs(path: Path) -> tuple[tuple[str, str], ...]:
    """Read SegNet's list: names of image files, each followed by that of its labels, between white space.

    Raises DataError for an empty list and for an image without labels. DEVIATION: SegNet leaves such an image
    out.
    """
    names = [name for _, line in text_lines(path, "surrogateescape") for name in line.split()]
    if not names:
        raise DataError(f"{path}: File is empty")
    if len(names) % 2:
        raise DataError(f"{path}: expected 'image labels' in every line, got no labels for {names[-1]!r}")
    return tuple(zip(names[::2], names[1::2], strict=True))


def open_dense_image_data(layer: DataLayer) -> ImageFeed:
    """The feed of a DenseImageData layer: images (N, C, H, W), and labels (N, 1, H, W) as the grey values of
    the second files, to which neither mean nor scale is applied.

    ``new_height`` and ``new_width`` resize images by linear interpolation and labels to the nearest place.
    Raises UnsupportedError for ``mirror`` and ``crop_size``, which SegNet refuses too.
    """
    data = layer.param.dense_image_data_param
    check_sizes(data, layer.where)
    transform = transform_of(layer)
    if transform.mirror or transform.crop_size:
        raise UnsupportedError(
            f"{layer.where}: transform_param: mirror and crop_size are not done with labels"
        )
    with naming(layer.where):
        pairs = read_pairs(layer.folder / data.source)
    files = ImagePairs.from_param(data, pairs, layer)

    def read(index: int, _: np.random.Generator) -> tuple[npt.NDArray[Any], Pixels]:
        image = resize(files.image(index), data.new_height, data.new_width)
        labels = resize(files.picture(index), data.new_height, data.new_width, nearest=True)
        files.check_sizes(index, image, labels)
        return image.transpose(2, 0, 1), labels.transpose(2, 0, 1)

    return ImageFeed(
        layer.where,
        layer.tops,
        read,
        lambda index: f"{layer.folder / data.source}: {pairs[index][0]}",
        len(pairs),
        batch_size(data, layer.where),
        transform,
        layer.seed,
        checked_skip(data, len(pairs), layer),
        data.shuffle,
    )
