"""Which images a command reads, and how: options of evaluation, training and statistics alike."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from vggrepro.cli.options.read import Options
from vggrepro.cli.options.values import positive
from vggrepro.data.choices import MAX_PIXELS, Exif, Kernel, OnBadImage
from vggrepro.system.terminal import printable
from vggrepro.system.threads import default_threads

if TYPE_CHECKING:
    from vggrepro.data.reading import BadImages, Reader
    from vggrepro.data.sources import Source


@dataclass(frozen=True)
class ListedImages:
    """The images of a folder, a tar or an LMDB, or those that a list names."""

    images: Path
    list_file: Path | None = None
    tar_index: Path | None = None

    def open(self) -> Source:
        """Raises DataError or OSError for images that cannot be read, or that the list has beyond them."""
        from vggrepro.data.sources import listed, open_images
        from vggrepro.data.truth.labels import read_list

        source = open_images(self.images, tar_index=self.tar_index)
        if self.list_file is None:
            return source
        return listed(source, read_list(self.list_file), str(self.list_file))


@dataclass(frozen=True)
class Sample:
    """``limit`` images drawn with ``seed``, or all of them."""

    limit: int | None = None
    seed: int = 0

    def of(self, source: Source) -> Source:
        from vggrepro.data.random_streams import sample
        from vggrepro.data.sources import select

        if self.limit is None:
            return source
        return select(source, sample(self.seed, len(source), self.limit))


@dataclass(frozen=True)
class Decoding:
    """How image files become pixels, and what happens to those that do not."""

    exif: Exif = "ignore"
    on_bad_image: OnBadImage = "error"
    max_pixels: int = MAX_PIXELS

    def reader(self, source: Source) -> Reader:
        from vggrepro.data.reading import BadImages, Reader

        return Reader(source, BadImages(self.on_bad_image), self.exif, self.max_pixels)


def add_listed_images(options: Options) -> None:
    """Add the argument ``images``, and ``--list`` and ``--tar-index``: see :class:`ListedImages`."""
    options.add_argument(
        "images", type=Path, metavar="IMAGES", help="a folder, a tar (read in place) or Caffe's LMDB"
    )
    options.add_argument(
        "--list",
        dest="list_file",
        type=Path,
        metavar="FILE",
        help="only the images of Caffe's list ('file label'), in its order (default: all)",
    )
    add_tar_option(options)


def add_tar_option(options: Options) -> None:
    """Add ``--tar-index``."""
    options.add_argument(
        "--tar-index",
        type=Path,
        metavar="FILE",
        help="keep the places of a tar's members here, and use them again; in training, those of --data"
        " (default: walk the tar each time)",
    )


def add_class_options(options: Options) -> None:
    """Add ``--synsets`` and ``--devkit``: the orders of the classes."""
    add_synsets_option(options)
    options.add_argument(
        "--devkit",
        type=Path,
        metavar="FILE",
        help="the devkit's class order, to read its ground truth: meta.mat, map_clsloc.txt, or a"
        " list of WNIDs by ILSVRC2012_ID",
    )


def add_synsets_option(options: Options) -> None:
    """Add ``--synsets``."""
    options.add_argument(
        "--synsets",
        type=Path,
        metavar="FILE",
        help="the network's class order and names: synset_words.txt (default: sorted WNIDs, where the data"
        " tell them)",
    )


def add_sample_options(options: Options) -> None:
    """Add ``--limit`` and ``--seed``: see :class:`Sample`."""
    options.add_argument(
        "--limit", type=positive, metavar="N", help="use N images drawn at random (default: all images)"
    )
    add_seed_option(options, Sample.seed, "seed of --limit (default: 0)")


def add_seed_option(options: Options, default: int | None, what: str) -> None:
    """Add ``--seed``. ``what`` is random, and what holds without the option."""
    options.add_argument("--seed", type=int, default=default, metavar="S", help=what)


def add_decoding_options(options: Options) -> None:
    """Add ``--exif``, ``--on-bad-image`` and ``--max-pixels``: see :class:`Decoding`."""
    add_exif_option(options)
    options.add_argument(
        "--on-bad-image",
        choices=get_args(OnBadImage),
        default=Decoding.on_bad_image,
        help="an image that cannot be decoded ends the run, or is left out and named, and in training the"
        " next one takes its place (default: error); one that ends early is used as Caffe would use it, and"
        " named",
    )
    add_max_pixels_option(options)


def add_exif_option(options: Options) -> None:
    """Add ``--exif``."""
    options.add_argument(
        "--exif",
        choices=get_args(Exif),
        default=Decoding.exif,
        help="EXIF orientation: ignored as by the OpenCV of 2014, or applied (default: ignore)",
    )


def add_max_pixels_option(options: Options) -> None:
    """Add ``--max-pixels``."""
    options.add_argument(
        "--max-pixels",
        type=positive,
        default=Decoding.max_pixels,
        metavar="N",
        help="an image of more pixels is not decoded: it counts as one that cannot be (default: %(default)s)",
    )


def add_kernel_option(options: Options) -> None:
    """Add ``--kernel``."""
    options.add_argument(
        "--kernel",
        choices=get_args(Kernel),
        default="linear",
        help="how images are rescaled; matlab is imresize, as in the authors' demo (default: linear)",
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


def warn_of_bad_images(bad: BadImages) -> None:
    """One line on stderr, if there were any."""
    summary = bad.summary()
    if summary is not None:
        print(f"warning: {printable(summary)}", file=sys.stderr)
