"""Random training crops: those that a training's loader draws of its first image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from vggrepro.data.augment import Augmentation
from vggrepro.data.loader import TrainingLoader
from vggrepro.data.reading import BadImages, Reader
from vggrepro.data.sources import open_images, with_labels
from vggrepro.pictures.augmentation_grid import augmented_crops

DRAWS = Augmentation(smallest=(24, 40), crop=20, mean_bgr=(90.0, 100.0, 110.0))


def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(100, 150, (45, 60, 3), dtype=np.uint8)


def test_crops_are_those_of_a_training(tmp_path: Path) -> None:
    """The loader with the same seed, batch by batch; every epoch is one image long."""
    cv2.imwrite(str(tmp_path / "a.png"), picture())
    source = with_labels(open_images(tmp_path), [0])
    loader = TrainingLoader(Reader(source, BadImages()), DRAWS, batch=1, seed=7, threads=1)
    found = augmented_crops(picture(), DRAWS, 7, 5)
    assert found.shape == (5, 20, 20, 3)
    for crop, batch in zip(found, loader.batches(0), strict=False):
        blob = batch.images[0] + batch.shifts[0] + np.float32(DRAWS.mean_bgr)
        assert np.abs(crop - blob).max() <= 0.501


def test_the_seed_decides() -> None:
    one, again, other = (augmented_crops(picture(), DRAWS, seed, 3) for seed in (1, 1, 2))
    assert (one == again).all()
    assert (one != other).any()
    assert len({crop.tobytes() for crop in one}) == 3


def test_bright_pixels_are_held_to_white() -> None:
    white = np.full((30, 30, 3), 255, np.uint8)
    strong = replace(DRAWS, smallest=(24, 24), colour_std=3.0)
    crops = augmented_crops(white, strong, 0, 8)
    assert crops.max() == 255
    assert crops.min() < 250
    assert (np.ptp(crops, axis=(1, 2)) == 0).all()  # one shift for all pixels of a crop


def test_without_colour_shift_crops_are_pixels_of_the_image() -> None:
    plain = replace(DRAWS, smallest=(45, 45), colour=None, flip=False)
    for crop in augmented_crops(picture(), plain, 3, 4):
        windows = np.lib.stride_tricks.sliding_window_view(picture(), (20, 20, 3))[:, :, 0]
        assert (windows == crop).all(axis=(2, 3, 4)).any()
