"""Options of commands that read images: which ones, and how. One meaning everywhere."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import get_args

from vggrepro.cli.options.values import positive
from vggrepro.data.decode import Exif
from vggrepro.data.random_streams import sample
from vggrepro.data.reading import BadImages, OnBadImage, Reader
from vggrepro.data.sources import Source, listed, open_images, select
from vggrepro.data.truth.labels import read_list
from vggrepro.system.threads import default_threads

Options = argparse._ActionsContainer
"""A parser, or a group of its options."""


def add_tar_option(options: Options) -> None:
    """Add ``--tar-index``."""
    options.add_argument(
        "--tar-index",
        type=Path,
        metavar="FILE",
        help="keep the places of a tar's members here, and use them again (default: walk the tar each time)",
    )


def add_sample_options(options: Options) -> None:
    """Add ``--limit`` and ``--seed``."""
    options.add_argument(
        "--limit", type=positive, metavar="N", help="use N images drawn at random (default: all images)"
    )
    options.add_argument("--seed", type=int, default=0, metavar="S", help="seed of --limit (default: 0)")


def add_decoding_options(options: Options) -> None:
    """Add ``--exif`` and ``--on-bad-image``."""
    options.add_argument(
        "--exif",
        choices=get_args(Exif),
        default="ignore",
        help="EXIF orientation: ignored as by the OpenCV of 2014, or applied (default: ignore)",
    )
    options.add_argument(
        "--on-bad-image",
        choices=get_args(OnBadImage),
        default="error",
        help="an image that cannot be decoded ends the run, or is left out and named (default: error);"
        " one that ends early is used as Caffe would use it, and named",
    )


def add_workers_option(options: Options) -> None:
    """Add ``--workers``."""
    options.add_argument(
        "--workers",
        type=positive,
        default=default_threads(),
        metavar="N",
        help="threads that decode images (default: all processors, %(default)s here)",
    )


def open_listed(arguments: argparse.Namespace) -> Source:
    """The images of ``arguments.images``, only those of ``arguments.list`` if that is given."""
    source = open_images(arguments.images, tar_index=arguments.tar_index)
    if arguments.list is None:
        return source
    return listed(source, read_list(arguments.list), str(arguments.list))


def limited(source: Source, arguments: argparse.Namespace) -> Source:
    """As many images as ``--limit`` says."""
    if arguments.limit is None:
        return source
    return select(source, sample(arguments.seed, len(source), arguments.limit))


def reader_of(source: Source, arguments: argparse.Namespace) -> Reader:
    """How ``--exif`` and ``--on-bad-image`` say that images are read."""
    return Reader(source, BadImages(arguments.on_bad_image), arguments.exif)


def warn_of_bad_images(bad: BadImages) -> None:
    """One line on stderr, if there were any."""
    summary = bad.summary()
    if summary is not None:
        print(f"warning: {summary}", file=sys.stderr)
