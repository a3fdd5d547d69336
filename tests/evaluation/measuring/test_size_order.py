"""Images of one rescaled size come together in a pass."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
import pytest

from vggrepro.data.preprocess import rescaled_size
from vggrepro.data.sources import open_images
from vggrepro.evaluation.measuring.pipeline import ImageSet
from vggrepro.evaluation.measuring.rescaled_image import ImageReading
from vggrepro.evaluation.measuring.size_order import ordered_by_size
from vggrepro.evaluation.protocols import Stream
from vggrepro.system.ranks import Alone

DENSE = [Stream("n", "dense", q, flip=flip) for q in (12, 40) for flip in (False, True)]
SIZES = [(20, 30), (30, 20), (21, 30), (40, 60), (20, 20), (41, 60), (20, 31)]


@pytest.fixture
def images(tmp_path: Path) -> ImageSet:
    for number, size in enumerate(SIZES):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.zeros((*size, 3), np.uint8))
    return ImageSet.whole(open_images(tmp_path))


@pytest.mark.parametrize("scale", [12, 40])
def test_each_size_comes_once(images: ImageSet, scale: int) -> None:
    ordered = ordered_by_size(images, DENSE, threads=2)
    assert sorted(ordered.indexes) == list(range(len(SIZES)))
    sizes = [rescaled_size(*SIZES[index], scale) for index in ordered.indexes]
    assert len(list(groupby(sizes))) == len(set(sizes))


def test_crops_and_warped_images_are_taken_as_they_come(images: ImageSet) -> None:
    assert ordered_by_size(images, [Stream("n", "five", 40, flip=False)], 1) is images
    warped = ImageSet(images.source, images.indexes, ImageReading(resize="warp"))
    assert ordered_by_size(warped, DENSE, 1) is warped


def test_images_without_a_size_are_not_lost(images: ImageSet, tmp_path: Path) -> None:
    (tmp_path / "2.png").write_bytes(b"no picture")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "4.png").unlink()
    ordered = ordered_by_size(images, DENSE, 1)
    assert sorted(ordered.indexes[:2]) == [2, 4]
    assert sorted(ordered.indexes) == list(range(len(SIZES)))


def test_the_first_rank_decides(images: ImageSet) -> None:
    @dataclass(frozen=True)
    class Second(Alone):
        def broadcast(self, value: object) -> object:
            assert value == []
            return [3, 1]

    assert ordered_by_size(images, DENSE, 1, Second(rank=1, size=2)).indexes.tolist() == [3, 1]
