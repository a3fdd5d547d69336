"""Values of options: what argparse calls types. They raise ArgumentTypeError, which it tells the user."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from vggrepro.errors import ProtocolError
from vggrepro.system.file_names import file_path

MOST = 2**31 - 1
"""The largest number that Caffe and the runtimes take for a count."""


def positive(text: str) -> int:
    """A whole number from 1."""
    return _whole(text, 1)


def natural(text: str) -> int:
    """A whole number from 0."""
    return _whole(text, 0)


def sizes(text: str) -> tuple[int, ...]:
    """Sizes in pixels, written as ``256,384,512``."""
    return tuple(positive(part) for part in text.split(","))


def result_file(text: str) -> Path:
    """The name of a file that is written."""
    try:
        return file_path(text)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error.strerror}") from None


def axes(text: str) -> tuple[str, ...]:
    """``kernel,exif``: open questions of a sweep."""
    from vggrepro.evaluation.open_readings import parse_axes

    try:
        return parse_axes(text)
    except ProtocolError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def names(text: str) -> tuple[str, ...]:
    """``fc6,fc7``: names, none of them empty or twice."""
    found = tuple(text.split(","))
    if not all(found) or len(set(found)) < len(found):
        raise argparse.ArgumentTypeError(f"expected different names with commas between them, got {text!r}")
    return found


def size_range(text: str) -> tuple[int, int]:
    """``256`` or ``256,512``: one size, or the ends of a range."""
    ends = sizes(text)
    if len(ends) > 2:
        raise argparse.ArgumentTypeError(f"expected one size, or two, got {text!r}")
    return ends[0], ends[-1]


def amount(text: str) -> float:
    """A finite number from 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number from 0, got {text!r}")
    return abs(value)  # which makes 0 of -0


def bgr(text: str) -> tuple[float, float, float]:
    """``103.939,116.779,123.68``: three finite numbers, blue, green, red."""
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if not values or not all(map(math.isfinite, values)):
        raise argparse.ArgumentTypeError(f"expected numbers with commas between them, got {text!r}")
    if len(values) != 3:
        raise argparse.ArgumentTypeError(f"expected three numbers, blue, green, red, got {text!r}")
    blue, green, red = values
    return blue, green, red


def mean(text: str) -> tuple[float, float, float] | Path:
    """``103.939,116.779,123.68``: three finite numbers, blue, green, red; ``127``: one for every channel; or
    the name of a mean image's file, which ends in .binaryproto or .npy."""
    from vggrepro.data.mean_image import MEAN_IMAGE_SUFFIXES

    if text.endswith(MEAN_IMAGE_SUFFIXES):
        return Path(text)
    return bgr(text if "," in text or " " in text else f"{text},{text},{text}")


def factor(text: str) -> float:
    """A finite number other than 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or not value:
        raise argparse.ArgumentTypeError(f"expected a number other than 0, got {text!r}")
    return value


def _whole(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"expected a whole number from {least}, got {text!r}")
    if value > MOST:
        raise argparse.ArgumentTypeError(f"expected a whole number up to {MOST}, got {text!r}")
    return value
