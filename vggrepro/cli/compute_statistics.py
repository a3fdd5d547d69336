"""compute_statistics: mean pixel and colour components of a training set."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from vggrepro.cli.options.images import (
    add_decoding_options,
    add_sample_options,
    add_tar_option,
    add_workers_option,
    limited,
    open_listed,
    reader_of,
    warn_of_bad_images,
)
from vggrepro.cli.options.values import positive
from vggrepro.cli.run import Parser, check_outputs, run
from vggrepro.data.decode import Pixels
from vggrepro.data.preprocess import rescale
from vggrepro.data.statistics import Moments, collect, moments
from vggrepro.system.atomic import write_json


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 2 an error."""
    arguments = _parser().parse_args(argv)
    return run(lambda: _compute(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="compute_statistics",
        description="Compute what training subtracts and adds: the mean pixel, and the principal components"
        " of RGB values for Krizhevsky's colour shift. The result is a JSON file for train_ilsvrc.",
    )
    parser.add_argument(
        "images",
        type=Path,
        metavar="IMAGES",
        help="a folder, a tar (ILSVRC2012_img_train.tar) or Caffe's LMDB",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.json", help="the result")
    parser.add_argument("--list", type=Path, metavar="train.txt", help="only the images of Caffe's list")
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
    add_tar_option(parser)
    add_decoding_options(parser)
    add_workers_option(parser)
    return parser


def _compute(arguments: argparse.Namespace) -> int:
    check_outputs(arguments.output)
    source = limited(open_listed(arguments), arguments)
    reader = reader_of(source, arguments)

    def prepare(pixels: Pixels) -> Moments:
        return moments(pixels if arguments.rescale is None else rescale(pixels, arguments.rescale))

    images = reader.each(range(len(source)), prepare, threads=arguments.workers)
    progress = tqdm(images, total=len(source), unit="image", desc="statistics")
    statistics = collect((image for _, image in progress), per_pixel=arguments.per_pixel)
    result = {
        **statistics.as_json(),
        "source": str(arguments.images),
        "list": None if arguments.list is None else str(arguments.list),
        "rescale": arguments.rescale,
        "exif": arguments.exif,
        "limit": arguments.limit,
        "seed": arguments.seed,
        "bad_images": reader.bad.report(),
    }
    write_json(arguments.output, result)
    warn_of_bad_images(reader.bad)
    b, g, r = statistics.mean_bgr
    print(f"mean B, G, R: {b:.3f}, {g:.3f}, {r:.3f} over {statistics.images} images")
    return 0
