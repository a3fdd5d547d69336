"""Images and the pictures of their labels, by their names behind root_folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from vggrepro.caffe.messages import TEST, ImageDataParameter, LayerParameter
from vggrepro.data.feeds.base import DataLayer
from vggrepro.data.feeds.image_pairs import ImagePairs
from vggrepro.data.opencv import opencv
from vggrepro.errors import DataError

IMAGE = np.random.default_rng(5).integers(0, 256, (3, 4, 3), dtype=np.uint8)


def pairs(folder: Path, *, is_color: bool = True) -> ImagePairs:
    opencv().imwrite(str(folder / "a_image.png"), IMAGE)
    opencv().imwrite(str(folder / "a_labels.png"), IMAGE[:, :, 0])
    data = ImageDataParameter(root_folder="a_", is_color=is_color)
    layer = DataLayer(LayerParameter(), TEST, 0, folder, "ignore", 100)
    return ImagePairs.from_param(data, [("image.png", "labels.png")], layer)


def test_both_sides_are_read(tmp_path: Path) -> None:
    files = pairs(tmp_path)
    assert_array_equal(files.image(0), IMAGE)
    assert_array_equal(files.picture(0), IMAGE[:, :, :1])
    assert pairs(tmp_path, is_color=False).image(0).shape == (3, 4, 1)


def test_sizes_that_differ_are_named(tmp_path: Path) -> None:
    files = pairs(tmp_path)
    files.check_sizes(0, IMAGE, IMAGE[:, :, :1])
    with pytest.raises(DataError, match=r"a_labels\.png: .* must match: \(3, 4\) and \(3, 3\)"):
        files.check_sizes(0, IMAGE, IMAGE[:, :3, :1])
