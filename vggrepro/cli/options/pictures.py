"""How one image file becomes a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from vggrepro.cli.options.images import (
    Decoding,
    add_exif_option,
    add_kernel_option,
    add_max_pixels_option,
)
from vggrepro.cli.options.read import Options
from vggrepro.cli.options.values import positive
from vggrepro.data.choices import Centre, Exif, Kernel, Resize
from vggrepro.evaluation.measuring.rescaled_image import ImageReading


@dataclass(frozen=True)
class PictureOptions:
    """What an evaluation leaves open of it."""

    exif: Exif = Decoding.exif
    kernel: Kernel = "linear"
    centre: Centre = "floor"
    max_pixels: int = Decoding.max_pixels
    resize: Resize = "keep-aspect"

    @property
    def reading(self) -> ImageReading:
        return ImageReading(self.exif, self.kernel, self.centre, self.max_pixels, self.resize)


def add_picture_options(options: Options) -> None:
    """Add the options of :class:`PictureOptions`."""
    add_exif_option(options)
    add_max_pixels_option(options)
    add_geometry_options(options)


def add_geometry_options(options: Options) -> None:
    """Add ``--kernel``, ``--resize`` and ``--centre``."""
    add_kernel_option(options)
    options.add_argument(
        "--resize",
        choices=get_args(Resize),
        default=PictureOptions.resize,
        help="keep the aspect, with --scales the smaller side, as in the paper, or warp to a square, as"
        " Caffe's convert_imageset does (default: keep-aspect)",
    )
    options.add_argument(
        "--centre",
        choices=get_args(Centre),
        default=PictureOptions.centre,
        help="the centre crop of an odd margin: rounded down, or up as in the authors' demo (default: floor)",
    )


def add_zoom_option(options: Options, default: int) -> None:
    """Add ``--zoom``."""
    options.add_argument(
        "--zoom",
        type=positive,
        default=default,
        metavar="N",
        help="pixels of the picture for each value, across and down (default: %(default)s)",
    )
