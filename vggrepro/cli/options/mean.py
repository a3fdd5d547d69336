"""The convention of a net's input: ``--mean``, ``--mean-as``, ``--scale`` and ``--channel-order``."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal, get_args

from vggrepro.cli.options.read import Options
from vggrepro.cli.options.values import factor, mean
from vggrepro.data.choices import ChannelOrder
from vggrepro.errors import OptionError

MeanOption = tuple[float, float, float] | Path
"""A mean pixel, blue, green, red, 0-255, or the file of a mean image."""

MeanAs = Literal["image", "pixel"]


def add_mean_option(options: Options, default: str) -> None:
    """Add ``--mean``. ``default`` tells what holds without it."""
    options.add_argument(
        "--mean",
        type=mean,
        metavar="B,G,R",
        help="mean pixel, 0-255; in evaluation also one value for all channels, or a mean image,"
        f" FILE.binaryproto or FILE.npy (default: {default})",
    )


def add_mean_as_option(options: Options) -> None:
    """Add ``--mean-as``."""
    options.add_argument(
        "--mean-as",
        choices=get_args(MeanAs),
        default="image",
        help="a mean image is cropped with the images, as Caffe does, or averaged to a mean pixel, as"
        " pycaffe's examples do (default: image)",
    )


def add_scale_option(options: Options) -> None:
    """Add ``--scale``."""
    options.add_argument(
        "--scale",
        type=factor,
        default=1.0,
        metavar="S",
        help="multiply pixels by S after the mean is subtracted, as 0.017 for MobileNet (default: 1)",
    )


def hint_at_order(mean: MeanOption | None) -> None:
    """Warn of a mean pixel that looks like red, green, blue.

    Red is the strongest colour of photographs and blue the weakest, in ImageNet (123.68, 116.779, 103.939)
    as in other collections.
    """
    if isinstance(mean, tuple) and mean[0] > mean[1] > mean[2]:
        given = ",".join(f"{value:g}" for value in mean)
        turned = ",".join(f"{value:g}" for value in reversed(mean))
        warnings.warn(
            f"--mean {given}: taken as blue, green, red, but it falls as red, green, blue of photographs do;"
            f" if that is what it is, give --mean {turned}",
            stacklevel=2,
        )


def add_channel_order_option(options: Options) -> None:
    """Add ``--channel-order``, in capital or small letters."""
    options.add_argument(
        "--channel-order",
        type=str.lower,
        choices=get_args(ChannelOrder),
        default="bgr",
        help="the order of the input's channels, and of those of a mean image (default: bgr, Caffe's)",
    )


def pixel_alone(value: MeanOption | None) -> tuple[float, float, float] | None:
    """The mean pixel, for commands that have no use for a mean image: they raise OptionError."""
    if isinstance(value, Path):
        raise OptionError(f"--mean {value}: expected a mean pixel as 103.939,116.779,123.68 here, not a file")
    return value
