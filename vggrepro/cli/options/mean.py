"""The mean pixel: ``--mean``."""

from __future__ import annotations

from vggrepro.cli.options.read import Options
from vggrepro.cli.options.values import bgr


def add_mean_option(options: Options, default: str) -> None:
    """Add ``--mean``. ``default`` tells what holds without it."""
    options.add_argument("--mean", type=bgr, metavar="B,G,R", help=f"mean pixel, 0-255 (default: {default})")
