"""The mean pixel: ``--mean``."""

from __future__ import annotations

import warnings

from vggrepro.cli.options.read import Options
from vggrepro.cli.options.values import bgr


def add_mean_option(options: Options, default: str) -> None:
    """Add ``--mean``. ``default`` tells what holds without it."""
    options.add_argument("--mean", type=bgr, metavar="B,G,R", help=f"mean pixel, 0-255 (default: {default})")


def hint_at_order(mean: tuple[float, float, float] | None) -> None:
    """Warn of a mean pixel that looks like red, green, blue.

    Red is the strongest colour of photographs and blue the weakest, in ImageNet (123.68, 116.779, 103.939)
    as in other collections.
    """
    if mean is not None and mean[0] > mean[1] > mean[2]:
        given = ",".join(f"{value:g}" for value in mean)
        turned = ",".join(f"{value:g}" for value in reversed(mean))
        warnings.warn(
            f"--mean {given}: taken as blue, green, red, but it falls as red, green, blue of photographs do;"
            f" if that is what it is, give --mean {turned}",
            stacklevel=2,
        )
