"""What a training looks at: images, means, colours and scales."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_run import prepare

from vggrepro.cli.options.images import Decoding
from vggrepro.cli.options.training_images import AugmentationOptions, ImageOptions, training_images
from vggrepro.data.augment import ILSVRC_MEAN_BGR, ILSVRC_PCA
from vggrepro.errors import DataError, OptionError
from vggrepro.training.definition import read_definition

NO_IMAGES = ImageOptions(Decoding())


@pytest.fixture
def message(tmp_path: Path) -> Any:
    """A training net for crops of 8 pixels, whose data layer has a mean."""
    return read_definition(prepare(tmp_path)).train_message()


@pytest.fixture
def folders(tmp_path: Path, message: Any) -> ImageOptions:
    return replace(NO_IMAGES, data=tmp_path / "train", val=tmp_path / "val")


def test_mean_and_colours(tmp_path: Path, message: Any) -> None:
    """--mean over --statistics over the net's own over the published models'."""
    statistics = tmp_path / "statistics.json"
    pca = {"eigenvalues": [3, 2, 1], "vectors_rgb": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}
    statistics.write_text(json.dumps({"mean_bgr": [1, 2, 3], "pca": pca}))
    plain = AugmentationOptions(smallest=(8, 12))

    def seen(options: AugmentationOptions) -> tuple[tuple[float, ...], object]:
        augmentation = options.augmentation(message)
        return augmentation.mean_bgr, augmentation.colour

    assert seen(plain) == ((120, 110, 130), ILSVRC_PCA)
    mean, colour = seen(replace(plain, statistics=statistics))
    assert mean == (1, 2, 3)
    assert colour not in (None, ILSVRC_PCA)
    both = replace(plain, statistics=statistics, mean=(7.0, 8.0, 9.0), colour="none")
    assert seen(both) == ((7, 8, 9), None)
    for layer in message.layer:
        layer.ClearField("transform_param")
    message.layer[0].transform_param.crop_size = 8
    assert seen(plain)[0] == ILSVRC_MEAN_BGR


def test_a_mean_of_zeros_is_a_mean(message: Any) -> None:
    options = AugmentationOptions(smallest=(8, 12), mean=(0.0, 0.0, 0.0))
    assert options.augmentation(message).mean_bgr == (0, 0, 0)


@pytest.mark.parametrize(
    ("smallest", "asked", "val"), [((9, 9), None, 9), ((8, 12), None, 10), ((8, 12), 12, 12)]
)
def test_scales_of_training_and_validation(
    folders: ImageOptions, message: Any, smallest: tuple[int, int], asked: int | None, val: int
) -> None:
    images = training_images(folders, AugmentationOptions(smallest, asked), message)
    assert images is not None
    assert (images.augmentation.smallest, images.val_smallest) == (smallest, val)
    assert images.augmentation.crop == 8
    assert images.val is not None
    assert (len(images.train.source), len(images.val.source)) == (20, 12)


def test_what_is_given_of_the_augmentation(message: Any) -> None:
    plain = AugmentationOptions((8, 12)).augmentation(message)
    assert (plain.flip, plain.colour_std, plain.offsets, plain.kernel) == (True, 0.1, "all", "linear")
    assert plain.reading == "root"
    options = AugmentationOptions(
        (9, 12), colour="unit-eigenvalue", colour_std=0.2, flip=False, offsets="caffe2013", kernel="area"
    )
    seen = options.augmentation(message)
    assert (seen.reading, seen.colour_std, seen.flip, seen.offsets, seen.kernel) == (
        "unit-eigenvalue",
        0.2,
        False,
        "caffe2013",
        "area",
    )


def test_no_test(folders: ImageOptions, message: Any) -> None:
    images = training_images(replace(folders, no_test=True), AugmentationOptions((8, 12)), message)
    assert images is not None
    assert images.val is None


def test_data_layers_need_no_images(message: Any) -> None:
    assert training_images(replace(NO_IMAGES, no_test=True), AugmentationOptions(), message) is None


@pytest.mark.parametrize(
    ("images", "augmentation", "option"),
    [
        (replace(NO_IMAGES, val=Path("x")), AugmentationOptions(), "--val"),
        (replace(NO_IMAGES, synsets=Path("x")), AugmentationOptions(), "--synsets"),
        (replace(NO_IMAGES, workers=97), AugmentationOptions(), "--workers"),
        (ImageOptions(Decoding(exif="apply")), AugmentationOptions(), "--exif"),
        (NO_IMAGES, AugmentationOptions(smallest=(8, 8)), "--smallest"),
        (NO_IMAGES, AugmentationOptions(mean=(1.0, 2.0, 3.0)), "--mean"),
        (NO_IMAGES, AugmentationOptions(flip=False), "--flip"),
        (NO_IMAGES, AugmentationOptions(kernel="area"), "--kernel"),
    ],
)
def test_what_data_layers_would_not_heed_is_refused(
    images: ImageOptions, augmentation: AugmentationOptions, option: str, message: Any
) -> None:
    with pytest.raises(OptionError, match=f"^{option}: expected --data PATH with it$"):
        training_images(images, augmentation, message)


def test_what_only_validation_needs_is_refused_without_it(folders: ImageOptions, message: Any) -> None:
    plain = AugmentationOptions((8, 12))
    labels = replace(folders, val=None, val_labels=Path("x"))
    with pytest.raises(OptionError, match=r"^--val-labels: expected --val PATH with it$"):
        training_images(labels, plain, message)
    with pytest.raises(OptionError, match=r"^--val-smallest: expected --val PATH with it$"):
        training_images(replace(folders, val=None), replace(plain, val_smallest=9), message)
    with pytest.raises(OptionError, match=r"^--colour-std: expected "):
        training_images(folders, replace(plain, colour="none", colour_std=0.3), message)


def test_statistics_that_are_none(tmp_path: Path, message: Any) -> None:
    (tmp_path / "s.json").write_text("{")
    with pytest.raises(DataError, match=r"s\.json: not JSON"):
        AugmentationOptions((8, 12), statistics=tmp_path / "s.json").augmentation(message)
