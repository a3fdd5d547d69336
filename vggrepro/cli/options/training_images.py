"""What a training looks at: images, ground truth, and the augmentation of section 3.1."""

from __future__ import annotations

from argparse import BooleanOptionalAction
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from vggrepro.cli.options.images import (
    Decoding,
    add_class_options,
    add_decoding_options,
    add_kernel_option,
    add_tar_option,
    add_workers_option,
)
from vggrepro.cli.options.mean import MeanOption, add_mean_option, hint_at_order, pixel_alone
from vggrepro.cli.options.read import Options
from vggrepro.cli.options.refuse import refuse_without
from vggrepro.cli.options.values import amount, positive, size_range
from vggrepro.data.augment import ILSVRC_MEAN_BGR, ILSVRC_PCA, Augmentation, ColourPCA, Offsets, Reading
from vggrepro.data.choices import Kernel
from vggrepro.data.reading import Reader
from vggrepro.errors import DataError
from vggrepro.system.json_text import parsed_json
from vggrepro.system.threads import default_threads

if TYPE_CHECKING:
    from vggrepro.data.sources import Source
    from vggrepro.layers.base import AnyLayer
    from vggrepro.training.assemble import TrainingImages

MeanBGR = tuple[float, float, float]

Colour = Literal[Reading, "none"]

SMALLEST = (256, 256)
"""The range of S without ``--smallest``, in pixels."""


@dataclass(frozen=True)
class ImageOptions:
    """Training and validation images. Without ``data`` the net's own data layers are read."""

    decoding: Decoding
    data: Path | None = None
    data_list: Path | None = None
    val: Path | None = None
    val_labels: Path | None = None
    no_test: bool = False
    synsets: Path | None = None
    devkit: Path | None = None
    tar_index: Path | None = None
    workers: int = default_threads()

    def training_set(self, data: Path) -> Source:
        """Images with labels: of a list, of an LMDB, or told by the WNIDs in their paths."""
        from vggrepro.data.sources import listed, open_images, with_labels
        from vggrepro.data.truth.labels import labels_by_folder, read_list, read_synsets

        source = open_images(data, tar_index=self.tar_index)
        if self.data_list is not None:
            return listed(source, read_list(self.data_list), str(self.data_list))
        if source.label(0) is not None:
            return source
        synsets = None if self.synsets is None else read_synsets(self.synsets)
        keys = [source.key(index) for index in range(len(source))]
        return with_labels(source, labels_by_folder(keys, synsets, source.name)[0])

    def validation_set(self) -> Reader | None:
        """None where nothing is to be tested."""
        from vggrepro.data.truth.ground_truth import open_truth

        if self.val is None:
            refuse_without("--val PATH", self, "val_labels", "devkit")
        if self.val is None or self.no_test:
            return None
        truth = open_truth(self.val, self.val_labels, self.synsets, self.devkit)
        return self.decoding.reader(truth.source)


@dataclass(frozen=True)
class AugmentationOptions:
    """How a training image becomes a crop. None: what follows from other options, or from the net."""

    smallest: tuple[int, int] | None = None
    val_smallest: int | None = None
    mean: MeanOption | None = None
    statistics: Path | None = None
    colour: Colour = "root"
    colour_std: float = 0.1
    flip: bool | None = None
    offsets: Offsets = "all"
    kernel: Kernel = "linear"

    def augmentation(self, message: Any, custom: Mapping[str, AnyLayer] | None = None) -> Augmentation:
        """``message`` is the net: its input is the crop, and its data layer may know the mean. ``custom``
        holds layers that the catalogue does not make, by name.

        Raises DataError for sizes that do not fit, and for statistics that cannot be read.
        """
        from vggrepro.net.net import build
        from vggrepro.training.training_data import ImageInputs

        hint_at_order(self.mean)
        mean, colour = self._statistics(message)
        return self.of_crops(ImageInputs(build(message, "TRAIN", None, custom)).side, mean, colour)

    def of_crops(self, crop: int, mean: MeanBGR, colour: ColourPCA | None) -> Augmentation:
        """The augmentation of crops of ``crop`` x ``crop`` pixels, whose colours are shifted along the
        components ``colour`` unless ``--colour none`` is given. Raises OptionError for a deviation of shifts
        that there are not."""
        if self.colour == "none":
            refuse_without("a --colour that shifts", self, "colour_std")
        return Augmentation(
            smallest=self.smallest or SMALLEST,
            crop=crop,
            mean_bgr=mean,
            flip=self.flip is not False,
            colour=None if self.colour == "none" else colour,
            colour_std=self.colour_std,
            reading=Augmentation.reading if self.colour == "none" else self.colour,
            offsets=self.offsets,
            kernel=self.kernel,
        )

    def _statistics(self, message: Any) -> tuple[MeanBGR, ColourPCA | None]:
        """The mean of ``--mean``, else of ``--statistics``, else of the net, else of the published models."""
        from vggrepro.data.statistics import from_json

        mean, colour = _mean_of(message) or ILSVRC_MEAN_BGR, ILSVRC_PCA
        if self.statistics is not None:
            try:
                content = parsed_json(self.statistics.read_text("utf-8"))
            except ValueError as error:
                raise DataError(f"{self.statistics}: not JSON: {error}") from error
            mean, colour = from_json(content, str(self.statistics))
        return pixel_alone(self.mean) or mean, colour


def training_images(
    images: ImageOptions,
    augmentation: AugmentationOptions,
    message: Any,
    custom: Mapping[str, AnyLayer] | None = None,
) -> TrainingImages | None:
    """The images and how they are seen by the net ``message``, whose layers that the catalogue does not make
    are ``custom``; None for its own data layers.

    Raises OptionError for options that nothing would come of, DataError or OSError for what cannot be read.
    """
    from vggrepro.training.assemble import TrainingImages

    if images.data is None:
        _refuse_without_data(images, augmentation)
        return None
    seen = augmentation.augmentation(message, custom)
    val = images.validation_set()
    if val is None and not images.no_test:
        refuse_without("--val PATH", augmentation, "val_smallest")
    return TrainingImages(
        train=images.decoding.reader(images.training_set(images.data)),
        val=val,
        augmentation=seen,
        val_smallest=augmentation.val_smallest or sum(seen.smallest) // 2,
        workers=images.workers,
    )


def _refuse_without_data(images: ImageOptions, augmentation: AugmentationOptions) -> None:
    """Data layers read and see images as the net says: no option for that may be lost."""
    for options, but in (
        (images.decoding, ("max_pixels",)),
        (images, ("decoding", "no_test")),
        (augmentation, ()),
    ):
        names = [name for name in options.__dataclass_fields__ if name not in but]
        refuse_without("--data PATH", options, *names)


def _mean_of(message: Any) -> MeanBGR | None:
    """The mean pixel of the net's last data layer that has one."""
    found = None
    for layer in message.layer:
        if len(layer.transform_param.mean_value) == 3:
            # The shortest decimals that are these floats: 103.939, as it is written there.
            blue, green, red = (float(str(np.float32(v))) for v in layer.transform_param.mean_value)
            found = blue, green, red
    return found


def add_image_options(options: Options) -> None:
    """Add the options of :class:`ImageOptions`."""
    options.add_argument(
        "--data",
        type=Path,
        metavar="PATH",
        help="training images: folder, ILSVRC2012_img_train.tar or LMDB",
    )
    options.add_argument(
        "--data-list",
        type=Path,
        metavar="FILE",
        help="Caffe's list, train.txt (default: labels by WNIDs in paths)",
    )
    options.add_argument("--val", type=Path, metavar="PATH", help="validation images: folder, tar or LMDB")
    options.add_argument(
        "--val-labels", type=Path, metavar="FILE", help="Caffe's val.txt, or the devkit's ground truth"
    )
    options.add_argument("--no-test", action="store_true", help="do not test, whatever the solver says")
    add_class_options(options)
    add_tar_option(options)
    add_decoding_options(options)
    add_workers_option(options)


def add_augmentation_options(options: Options) -> None:
    """Add the options of :class:`AugmentationOptions`."""
    add_smallest_option(options, "256")
    options.add_argument(
        "--val-smallest",
        type=positive,
        metavar="Q",
        help="smaller side for validation, whose centre is taken (default: S, the middle of its range)",
    )
    add_mean_option(options, "--statistics, the net's mean_value, or the published models'")
    options.add_argument(
        "--statistics", type=Path, metavar="FILE", help="mean and colour components (compute_statistics)"
    )
    add_colour_options(options)
    options.add_argument(
        "--flip", action=BooleanOptionalAction, help="mirror half of the crops (default: yes; with --demo no)"
    )
    add_offsets_option(options)
    add_kernel_option(options)


def add_smallest_option(options: Options, default: str) -> None:
    """Add ``--smallest``; ``default`` is what holds without it."""
    options.add_argument(
        "--smallest",
        type=size_range,
        metavar="S[,S]",
        help=f"smaller side of the rescaled image, or the two ends of its range (default: {default})",
    )


def add_colour_options(options: Options) -> None:
    """Add ``--colour`` and ``--colour-std``."""
    options.add_argument(
        "--colour",
        choices=get_args(Colour),
        default=AugmentationOptions.colour,
        help="random colour shift: by the roots of the pixels' eigenvalues, the eigenvalues of pixels in"
        " [0, 1], or those of pixels in [0, 255]; or none (default: %(default)s)",
    )
    options.add_argument(
        "--colour-std",
        type=amount,
        default=AugmentationOptions.colour_std,
        metavar="STD",
        help="of its amounts (default: 0.1)",
    )


def add_offsets_option(options: Options) -> None:
    """Add ``--offsets``."""
    options.add_argument(
        "--offsets",
        choices=get_args(Offsets),
        default=AugmentationOptions.offsets,
        help="crop offsets: all, or without the last one as Caffe drew them in 2013 (default: all)",
    )
