"""extract_features: any blob of a network for every image, or the descriptor of the paper's appendix B."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from vggrepro.cli.options.evaluation import (
    add_network_options,
    add_reading_options,
    add_running_options,
    files_from,
    reading_from,
    running_from,
)
from vggrepro.cli.options.images import add_tar_option, open_listed
from vggrepro.cli.options.values import sizes
from vggrepro.cli.run import Parser, check_outputs, run
from vggrepro.data.truth.ground_truth import own_labels
from vggrepro.evaluation.feature_files import check_name, feature_file
from vggrepro.evaluation.features import Descriptor, extract, shape
from vggrepro.evaluation.measuring.network import Network, load
from vggrepro.evaluation.measuring.pipeline import Odd, Task
from vggrepro.system.ranks import Alone

_EPILOG = """The output holds one row per image, in the order of their names (or of --list).
FILE.npy: float32 (N, D), or (N, C, h, w) without pooling; FILE.json beside it has names and settings.
FILE.h5: the same as "features", "names" and (with --list) "labels", settings as an attribute."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 2 an error."""
    arguments = _parser().parse_args(argv)
    return run(lambda: _extract(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="extract_features",
        description="A blob of a network as image descriptors: dense, averaged over positions and flips,"
        " at several scales, of Euclidean length 1 (the paper's appendix B).",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("images", type=Path, metavar="IMAGES", help="a folder, a tar or an LMDB")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help=".npy or .h5")
    parser.add_argument("--demo", action="store_true", help="use the embedded network for handwritten digits")
    parser.add_argument("--list", type=Path, metavar="FILE", help="Caffe's list of the images to take")
    add_tar_option(parser)
    parser.add_argument("--blob", default="fc7", help="the blob to take (default: fc7, the penultimate)")
    _add_descriptor(parser)
    add_network_options(parser)
    add_reading_options(parser)
    add_running_options(parser)
    return parser


def _add_descriptor(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("descriptor (appendix B)")
    group.add_argument(
        "--protocol",
        choices=["dense", "centre", "tencrop", "multicrop"],
        default="dense",
        help="how an image is looked at (default: dense)",
    )
    group.add_argument(
        "--scales",
        type=sizes,
        default=(256,),
        metavar="Q,...",
        help="smallest sides in pixels (default: 256)",
    )
    group.add_argument(
        "--flip",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="average with mirror images (default: yes)",
    )
    group.add_argument(
        "--combine",
        choices=["average", "stack", "max"],
        default="average",
        help="how scales are combined; the paper averages for VOC, stacks for Caltech (default: average)",
    )
    group.add_argument(
        "--normalise",
        choices=["end", "each", "none"],
        default="end",
        help="divide by the Euclidean norm: all together, each scale and net, or not (default: end)",
    )
    group.add_argument(
        "--pool",
        choices=["average", "none"],
        default="average",
        help="average a blob over positions, or keep its map (default: average)",
    )


def _extract(arguments: argparse.Namespace) -> int:
    check_name(arguments.output)
    check_outputs(arguments.output)
    source = open_listed(arguments)
    task = Task.whole(source, reading_from(arguments), arguments.on_bad_image)
    descriptor = _descriptor(arguments)
    files, mean = files_from(arguments, embedded=arguments.demo)
    networks = [load(one, mean, arguments.blob) for one in files]
    whole = (len(source), *shape(networks, descriptor))
    with feature_file(arguments.output, whole) as file:
        with tqdm(total=len(source) * len(networks), unit="img", file=sys.stderr) as bar:
            odd = extract(
                task, networks, descriptor, running_from(arguments, Alone()), file.features, bar.update
            )
        keys = [source.key(index) for index in range(len(source))]
        labels = own_labels(source) if arguments.list is not None else None
        file.describe(keys, labels, _facts(arguments, networks, descriptor, odd))
    print(f"{arguments.output}: {' x '.join(map(str, whole))}", file=sys.stderr)
    for index, found in odd.items():
        row = f"row {index} is NaN" if found.kind == "bad" else f"row {index}"
        print(f"warning: {row}: {found.reason}", file=sys.stderr)
    return 0


def _descriptor(arguments: argparse.Namespace) -> Descriptor:
    return Descriptor(
        arguments.protocol,
        arguments.scales,
        arguments.flip,
        arguments.combine,
        arguments.normalise,
        arguments.pool,
    )


def _facts(
    arguments: argparse.Namespace,
    networks: Sequence[Network],
    descriptor: Descriptor,
    odd: Mapping[int, Odd],
) -> dict[str, Any]:
    return {
        "images": str(arguments.images),
        "networks": [{"name": network.name, **network.facts()} for network in networks],
        "descriptor": descriptor.facts(),
        "reading": reading_from(arguments).facts(),
        "bad_images": {str(index): o.reason for index, o in odd.items() if o.kind == "bad"},
        "truncated_images": [index for index, o in odd.items() if o.kind == "truncated"],
    }
