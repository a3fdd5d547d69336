"""compute_statistics: mean pixel and colour components of a training set."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vggrepro.cli.options.images import (
    Decoding,
    ListedImages,
    Sample,
    add_decoding_options,
    add_listed_images,
    add_sample_options,
    add_workers_option,
    warn_of_bad_images,
)
from vggrepro.cli.options.quiet import add_quiet_option
from vggrepro.cli.options.read import read
from vggrepro.cli.options.results import add_output_option, check_outputs
from vggrepro.cli.options.values import positive
from vggrepro.cli.run import NOTHING_WRITTEN, Parser, called, run
from vggrepro.data.decode import Pixels
from vggrepro.data.preprocess import rescale
from vggrepro.data.reading import BadImages
from vggrepro.system.atomic import replacing, write_json
from vggrepro.system.notes import next_step
from vggrepro.system.progress import progress
from vggrepro.system.ranks import Alone

if TYPE_CHECKING:
    from vggrepro.data.statistics import Moments, Statistics

MEAN_IMAGES = (".binaryproto", ".npy")
"""Suffixes of files for the mean of images of one size, pixel by pixel."""


_EXAMPLES = (
    "ILSVRC2012_img_train.tar -o statistics.json --limit 10000",
    "train_lmdb -o mean.binaryproto",
)


@dataclass(frozen=True)
class StatisticsOptions:
    """The command line."""

    listed: ListedImages
    output: Path
    per_pixel: bool
    rescale: int | None
    sample: Sample
    decoding: Decoding
    workers: int
    quiet: bool
    traceback: bool


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 2 an error."""
    options = read(StatisticsOptions, parser().parse_args(argv))
    return run(
        lambda: _compute(options), traceback=options.traceback, quiet=options.quiet, kept=NOTHING_WRITTEN
    )


def parser() -> argparse.ArgumentParser:
    """All options of the command."""
    parser = Parser(
        command="compute_statistics",
        examples=_EXAMPLES,
        description="Compute what training subtracts and adds: the mean pixel, and the principal components"
        " of RGB values for Krizhevsky's colour shift. The result is a JSON file for train_ilsvrc.",
    )
    add_listed_images(parser)
    add_output_option(
        parser, "the JSON file to write; as .binaryproto or .npy a mean image, of images of one size"
    )
    parser.add_argument(
        "--per-pixel",
        action="store_true",
        help="every pixel counts the same, so that larger images count more (default: every image counts"
        " the same, as among Caffe's images of one size)",
    )
    parser.add_argument(
        "--rescale",
        type=positive,
        metavar="S",
        help="rescale to a smaller side of S pixels first, as training does (default: as decoded)",
    )
    add_sample_options(parser)
    add_decoding_options(parser)
    add_workers_option(parser)
    add_quiet_option(parser)
    return parser


def _compute(options: StatisticsOptions) -> int:
    from vggrepro.data.statistics import MeanImageSum, collect, moments

    check_outputs(options.output, options=options)
    source = options.sample.of(options.listed.open())
    reader = options.decoding.reader(source)
    image = MeanImageSum() if options.output.suffix in MEAN_IMAGES else None

    def prepare(pixels: Pixels) -> tuple[Moments, Pixels | None]:
        rescaled = pixels if options.rescale is None else rescale(pixels, options.rescale)
        return moments(rescaled), None if image is None else rescaled

    def added() -> Iterator[Moments]:
        found = reader.each(range(len(source)), prepare, threads=options.workers)
        with progress("statistics", len(source), 0, Alone()) as advance:
            for index, (sums, pixels) in found:
                if image is not None and pixels is not None:
                    image.add(pixels, source.place(index))
                yield sums
                advance(1)

    statistics = collect(added(), per_pixel=options.per_pixel)
    if image is None:
        write_json(options.output, _result(options, statistics, reader.bad))
    else:
        _write_mean_image(options.output, image.blob())
    warn_of_bad_images(reader.bad)
    b, g, r = statistics.mean_bgr
    print(f"mean B, G, R: {b:.3f}, {g:.3f}, {r:.3f} over {statistics.images} images")
    if image is None:
        next_step(f"{called('train-ilsvrc')} --statistics {shlex.quote(str(options.output))} ...")
    else:
        next_step(f"{called('eval-ilsvrc')} --mean {shlex.quote(str(options.output))} ...")
    return 0


def _write_mean_image(path: Path, blob: npt.NDArray[np.float32]) -> None:
    """Write (1, 3, H, W) as Caffe's .binaryproto, or (3, H, W) as the .npy that its Python examples load."""
    from vggrepro.caffe.snapshot import write_blob

    if path.suffix == ".binaryproto":
        write_blob(path, blob)
        return
    with replacing(path) as file:
        np.save(file, blob[0])


def _result(options: StatisticsOptions, statistics: Statistics, bad: BadImages) -> dict[str, Any]:
    """What the output file holds: the statistics, and of which images they are."""
    listed, sample = options.listed, options.sample
    return {
        **statistics.as_json(),
        "source": str(listed.images),
        "list": None if listed.list_file is None else str(listed.list_file),
        "rescale": options.rescale,
        "exif": options.decoding.exif,
        "limit": sample.limit,
        "seed": sample.seed,
        "bad_images": bad.report(),
    }
