"""Options of train_ilsvrc: images, augmentation, initialisation, snapshots."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from vggrepro.cli.options.values import numbers, positive, sizes
from vggrepro.data.augment import ILSVRC_MEAN_BGR, ILSVRC_PCA, Augmentation, ColourPCA, Reading
from vggrepro.data.reading import BadImages, Reader
from vggrepro.data.sources import Source, listed, open_images, with_labels
from vggrepro.data.statistics import from_json
from vggrepro.data.truth.ground_truth import open_truth
from vggrepro.data.truth.labels import labels_by_folder, read_list, read_synsets
from vggrepro.errors import DataError
from vggrepro.net.net import build
from vggrepro.system.threads import default_threads
from vggrepro.training.assemble import Images
from vggrepro.training.batches import ImageInputs
from vggrepro.training.initialise import SCHEMES, VARIANCE_STD

READINGS = ("unit-eigenvalue", "root", "byte-eigenvalue", "none")


def add_image_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "images", "without --data the net's own data layers are read, as Caffe reads them"
    )
    group.add_argument(
        "--data",
        type=Path,
        metavar="PATH",
        help="training images: folder, ILSVRC2012_img_train.tar or LMDB",
    )
    group.add_argument(
        "--data-list",
        type=Path,
        metavar="train.txt",
        help="Caffe's list (default: labels by WNIDs in paths)",
    )
    group.add_argument("--val", type=Path, metavar="PATH", help="validation images: folder, tar or LMDB")
    group.add_argument(
        "--val-labels", type=Path, metavar="FILE", help="Caffe's val.txt, or the devkit's ground truth"
    )
    group.add_argument("--no-test", action="store_true", help="do not test, whatever the solver says")
    group.add_argument(
        "--synsets", type=Path, metavar="FILE", help="class order, synset_words.txt (default: sorted WNIDs)"
    )
    group.add_argument(
        "--devkit", type=Path, metavar="FILE", help="the devkit's meta.mat, to read its ground truth"
    )
    group.add_argument(
        "--tar-index", type=Path, metavar="FILE", help="keep the places of the training tar's members here"
    )
    group.add_argument(
        "--exif", choices=["ignore", "apply"], default="ignore", help="EXIF orientation (default: ignore)"
    )
    group.add_argument(
        "--on-bad-image",
        choices=["error", "skip"],
        default="error",
        help="an image that cannot be decoded ends the run, or the next one takes its place (default: error)",
    )
    group.add_argument(
        "--workers",
        type=positive,
        default=default_threads(),
        metavar="N",
        help="threads that decode (default: the processors, here %(default)s)",
    )


def add_augmentation_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("augmentation (section 3.1; the crop is the net's input)")
    group.add_argument(
        "--smallest",
        type=sizes,
        metavar="S[,S]",
        help="smaller side of the rescaled image, or the two ends of its range (default: 256)",
    )
    group.add_argument(
        "--val-smallest",
        type=positive,
        metavar="Q",
        help="smaller side for validation, whose centre is taken (default: S, the middle of its range)",
    )
    group.add_argument(
        "--mean",
        type=numbers,
        metavar="B,G,R",
        help="mean pixel, 0-255 (default: --statistics, the net's mean_value, or the published models')",
    )
    group.add_argument(
        "--statistics", type=Path, metavar="FILE.json", help="mean and colour components (compute_statistics)"
    )
    group.add_argument(
        "--colour",
        choices=READINGS,
        default=READINGS[0],
        help="random colour shift: by the eigenvalues of pixels in [0, 1], their roots, or the eigenvalues of"
        " pixels in [0, 255]; or none (default: %(default)s)",
    )
    group.add_argument(
        "--colour-std", type=float, default=0.1, metavar="STD", help="of its amounts (default: 0.1)"
    )
    group.add_argument(
        "--flip", action=argparse.BooleanOptionalAction, default=True, help="mirror half of the crops"
    )
    group.add_argument(
        "--offsets",
        choices=["all", "caffe2013"],
        default="all",
        help="crop offsets: all, or without the last one as Caffe drew them in 2013 (default: all)",
    )
    group.add_argument(
        "--kernel",
        choices=["linear", "cubic", "area", "lanczos", "matlab"],
        default="linear",
        help="how images are rescaled (default: linear)",
    )


def add_start_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("initialisation (section 3.1)")
    group.add_argument(
        "--init",
        choices=SCHEMES,
        default="prototxt",
        help="fillers: the prototxt's; normal with the paper's variance of 10^-2; Glorot and Bengio's; or"
        " He's (default: prototxt)",
    )
    group.add_argument(
        "--init-std",
        type=float,
        default=VARIANCE_STD,
        metavar="STD",
        help="standard deviation of --init variance (default: 0.1, the root of 10^-2)",
    )
    group.add_argument(
        "--init-from",
        type=Path,
        metavar="A.caffemodel",
        help="copy the first four convolutions and the fully connected layers of net A",
    )
    group.add_argument(
        "--weights", type=Path, action="append", default=[], metavar="FILE", help="copy all layers by name"
    )
    group.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="FILE",
        help="go on from a .solverstate, Caffe's too; auto: the newest one of the snapshot prefix, if any",
    )


def images_from(arguments: argparse.Namespace, message: Any) -> Images | None:
    """The images and how they are seen. ``message`` is the net: its input is the crop, and its data layer
    may know the mean."""
    if arguments.data is None:
        return None
    smallest = arguments.smallest or (256,)
    if len(smallest) > 2:
        raise DataError(f"--smallest {','.join(map(str, smallest))}: expected one size, or two")
    mean, colour = _statistics(arguments, message)
    least, most = smallest[0], smallest[-1]
    reading: Reading = "unit-eigenvalue" if arguments.colour == "none" else arguments.colour
    augmentation = Augmentation(
        smallest=(least, most),
        crop=ImageInputs(build(message, "TRAIN")).side,
        mean_bgr=mean,
        flip=arguments.flip,
        colour=None if arguments.colour == "none" else colour,
        colour_std=arguments.colour_std,
        reading=reading,
        offsets=arguments.offsets,
        kernel=arguments.kernel,
    )
    return Images(
        train=Reader(_training_set(arguments), BadImages(arguments.on_bad_image), arguments.exif),
        val=_validation_set(arguments),
        augmentation=augmentation,
        val_smallest=arguments.val_smallest or (least + most) // 2,
        workers=arguments.workers,
    )


def _statistics(arguments: argparse.Namespace, message: Any) -> tuple[tuple[float, float, float], ColourPCA]:
    mean, colour = ILSVRC_MEAN_BGR, ILSVRC_PCA
    for layer in message.layer:
        if len(layer.transform_param.mean_value) == 3:
            # The shortest decimals that are these floats: 103.939, as it is written there.
            mean = _three([str(np.float32(value)) for value in layer.transform_param.mean_value])
    if arguments.statistics is not None:
        try:
            content = json.loads(arguments.statistics.read_text("utf-8"))
        except ValueError as error:
            raise DataError(f"{arguments.statistics}: not JSON: {error}") from error
        mean, colour = from_json(content, str(arguments.statistics))
    return (mean if arguments.mean is None else _three(arguments.mean)), colour


def _three(values: Any) -> tuple[float, float, float]:
    if len(values) != 3:
        raise DataError(f"mean {','.join(map(str, values))}: expected three numbers, blue, green, red")
    blue, green, red = map(float, values)
    return blue, green, red


def _training_set(arguments: argparse.Namespace) -> Source:
    """Images with labels: of a list, of an LMDB, or told by the WNIDs in their paths."""
    source = open_images(arguments.data, tar_index=arguments.tar_index)
    if arguments.data_list is not None:
        return listed(source, read_list(arguments.data_list), str(arguments.data_list))
    if source.label(0) is not None:
        return source
    synsets = None if arguments.synsets is None else read_synsets(arguments.synsets)
    keys = [source.key(index) for index in range(len(source))]
    return with_labels(source, labels_by_folder(keys, synsets, source.name)[0])


def _validation_set(arguments: argparse.Namespace) -> Reader | None:
    if arguments.val is None or arguments.no_test:
        return None
    truth = open_truth(arguments.val, arguments.val_labels, arguments.synsets, arguments.devkit)
    return Reader(truth.source, BadImages(arguments.on_bad_image), arguments.exif)
