"""extract_features: any blob of a network for every image, or the descriptor of the paper's appendix B."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from tqdm import tqdm

from vggrepro.cli.options.evaluation import (
    NetworkOptions,
    ReadingOptions,
    RunningOptions,
    ViewOptions,
    add_demo_option,
    add_network_options,
    add_reading_options,
    add_running_options,
    add_view_options,
)
from vggrepro.cli.options.images import ListedImages, add_listed_images
from vggrepro.cli.options.read import read
from vggrepro.cli.options.results import add_output_option, check_outputs
from vggrepro.cli.run import NOTHING_WRITTEN, Parser, run_ranks
from vggrepro.data.truth.ground_truth import own_labels
from vggrepro.errors import OptionError
from vggrepro.evaluation.feature_files import check_described, check_name, described_by, feature_file
from vggrepro.evaluation.features import (
    Combine,
    Descriptor,
    Normalise,
    Pool,
    descriptor_shape,
    extract_descriptors,
)
from vggrepro.evaluation.measuring.evaluated_net import EvaluatedNet, load_network
from vggrepro.evaluation.measuring.pipeline import ImageProblem
from vggrepro.system.ranks import Ranks
from vggrepro.system.terminal import printable

_EXAMPLES = (
    "images -o features.npy --weights D=VGG_ILSVRC_16_layers.caffemodel",
    "images --list val.txt -o features.h5 --deploy my.prototxt --weights my.caffemodel --blob pool5",
)
_EPILOG = """The output holds one row per image, in the order of their names (or of --list).
FILE.npy: float32 (N, D), or (N, C, h, w) without pooling; FILE.json beside it has names and settings.
FILE.h5: the same as "features", "names" and (with --list) "labels", settings as an attribute."""


@dataclass(frozen=True)
class ExtractOptions:
    """The command line."""

    listed: ListedImages
    output: Path
    demo: bool
    blob: str
    views: ViewOptions
    combine: Combine
    normalise: Normalise
    pool: Pool
    network: NetworkOptions
    reading: ReadingOptions
    running: RunningOptions
    traceback: bool

    def descriptor(self) -> Descriptor:
        """Raises ProtocolError for options that do not go together."""
        asked = self.views
        return Descriptor(
            protocol=asked.protocol or Descriptor.protocol,
            scales=asked.scales or Descriptor.scales,
            flip=Descriptor.flip if asked.flip is None else asked.flip,
            combine=self.combine,
            normalise=self.normalise,
            pool=self.pool,
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 2 an error."""
    options = read(ExtractOptions, parser().parse_args(argv))
    return run_ranks(
        lambda ranks: _extract(options, ranks), traceback=options.traceback, kept=NOTHING_WRITTEN
    )


def parser() -> argparse.ArgumentParser:
    """All options of the command."""
    parser = Parser(
        command="extract_features",
        examples=_EXAMPLES,
        description="A blob of a network as image descriptors: dense, averaged over positions and flips,"
        " at several scales, of Euclidean length 1 (the paper's appendix B).",
        epilog=_EPILOG,
    )
    add_listed_images(parser)
    add_output_option(parser, "the file to write, .npy or .h5")
    add_demo_option(parser, "use the embedded network for handwritten digits")
    parser.add_argument("--blob", default="fc7", help="the blob to take (default: fc7, the penultimate)")
    _add_descriptor(parser.add_argument_group("descriptor (appendix B)"))
    add_network_options(parser.add_argument_group("networks"))
    add_reading_options(parser)
    add_running_options(parser)
    return parser


def _add_descriptor(group: argparse._ArgumentGroup) -> None:
    add_view_options(group, "256; see --combine", "yes; the mean of both is taken")
    group.add_argument(
        "--combine",
        choices=get_args(Combine),
        default=Descriptor.combine,
        help="how scales are combined; the paper averages for VOC, stacks for Caltech (default: average)",
    )
    group.add_argument(
        "--normalise",
        choices=get_args(Normalise),
        default=Descriptor.normalise,
        help="divide by the Euclidean norm: all together, each scale and net, or not (default: end)",
    )
    group.add_argument(
        "--pool",
        choices=get_args(Pool),
        default=Descriptor.pool,
        help="average a blob over positions, or keep its map (default: average)",
    )


def _extract(options: ExtractOptions, ranks: Ranks) -> int:
    if ranks.size > 1:
        raise OptionError(f"extract_features works as one process, got {ranks.size}: start it without mpirun")
    check_name(options.output)
    beside = described_by(options.output) if options.output.suffix == ".npy" else None
    check_outputs(options.output, beside, options=options)
    check_described(options.output)
    source = options.listed.open()
    descriptor = options.descriptor()
    files, mean = options.network.files(embedded=options.demo)
    networks = [load_network(one, mean, options.blob) for one in files]
    whole = (len(source), *descriptor_shape(networks, descriptor))
    with feature_file(options.output, whole) as file:
        with tqdm(total=len(source) * len(networks), unit="img", file=sys.stderr) as bar:
            images, running = options.reading.whole(source), options.running.running()
            problems = extract_descriptors(images, networks, descriptor, running, file.features, bar.update)
        keys = [source.key(index) for index in range(len(source))]
        labels = own_labels(source) if options.listed.list_file is not None else None
        file.describe(keys, labels, _facts(options, networks, descriptor, problems))
    print(printable(f"{options.output}: {' x '.join(map(str, whole))}"), file=sys.stderr)
    for index, found in problems.items():
        row = f"row {index} is NaN" if found.kind == "bad" else f"row {index}"
        print(f"warning: {row}: {printable(found.reason)}", file=sys.stderr)
    return 0


def _facts(
    options: ExtractOptions,
    networks: Sequence[EvaluatedNet],
    descriptor: Descriptor,
    problems: Mapping[int, ImageProblem],
) -> dict[str, Any]:
    return {
        "images": str(options.listed.images),
        "networks": [{"name": network.name, **network.facts()} for network in networks],
        "descriptor": descriptor.facts(),
        "reading": options.reading.reading.facts(),
        "bad_images": {str(index): o.reason for index, o in problems.items() if o.kind == "bad"},
        "truncated_images": [index for index, o in problems.items() if o.kind == "truncated"],
    }
