"""The convention of a net's input: ``--mean`` and ``--channel-order``."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import get_args

from vggrepro.cli.options.read import Options
from vggrepro.cli.options.values import mean
from vggrepro.data.preprocess import ChannelOrder
from vggrepro.errors import OptionError

MeanOption = tuple[float, float, float] | Path
"""A mean pixel, blue, green, red, 0-255, or the file of a mean image."""


def add_mean_option(options: Options, default: str) -> None:
    """Add ``--mean``. ``default`` tells what holds without it."""
    options.add_argument(
        "--mean",
        type=mean,
        metavar="B,G,R",
        help="mean pixel, 0-255; in evaluation also one value for all channels, or a mean image,"
        f" FILE.binaryproto or FILE.npy (default: {default})",
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
