"""extract_features: any blob of a network for every image, or the descriptor of the paper's appendix B."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from vggrepro.cli.options.evaluation import (
    NetworkOptions,
    ReadingOptions,
    RunningOptions,
    ViewOptions,
    add_cache_option,
    add_demo_option,
    add_network_options,
    add_reading_options,
    add_running_options,
    add_view_options,
)
from vggrepro.cli.options.images import ListedImages, add_listed_images
from vggrepro.cli.options.quiet import add_quiet_option
from vggrepro.cli.options.read import read
from vggrepro.cli.options.results import add_output_option, check_outputs
from vggrepro.cli.options.values import names
from vggrepro.cli.run import Parser, kept_in, run_ranks
from vggrepro.evaluation.descriptor import Combine, Descriptor, Normalise, Pool
from vggrepro.system.notes import note
from vggrepro.system.ranks import Ranks
from vggrepro.system.terminal import printable

if TYPE_CHECKING:
    from vggrepro.evaluation.measuring.evaluated_net import EvaluatedNet
    from vggrepro.evaluation.measuring.pipeline import ImageProblem


_EXAMPLES = (
    "images -o features.npy --weights D=VGG_ILSVRC_16_layers.caffemodel",
    "images --list val.txt -o features.h5 --deploy my.prototxt --weights my.caffemodel --blob pool5",
)
_EPILOG = """The output holds one row per image, in the order of their names (or of --list).
FILE.npy: float32 (N, D), or (N, C, h, w) without pooling; FILE.json beside it has names and settings.
FILE.h5: the same as "features", "names" and (with --list) "labels", settings as an attribute.
Under mpirun each rank measures a share of the images, and the first writes the output."""


@dataclass(frozen=True)
class ExtractOptions:
    """The command line."""

    listed: ListedImages
    output: Path
    demo: bool
    blobs: tuple[str, ...]
    views: ViewOptions
    combine: Combine
    normalise: Normalise
    pool: Pool
    network: NetworkOptions
    reading: ReadingOptions
    running: RunningOptions
    cache: Path | None
    quiet: bool
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
        lambda ranks: _extract(options, ranks),
        traceback=options.traceback,
        quiet=options.quiet,
        kept=kept_in(options.cache),
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
    parser.add_argument(
        "--blob",
        dest="blobs",
        type=names,
        default=("fc7",),
        metavar="BLOB,...",
        help="the blobs to take, in one pass; of several each goes to a file of its own, FILE.BLOB.npy"
        " (default: fc7, the penultimate)",
    )
    _add_descriptor(parser.add_argument_group("descriptor (appendix B)"))
    add_network_options(parser.add_argument_group("networks"))
    add_reading_options(parser)
    add_running_options(parser)
    add_cache_option(parser)
    add_quiet_option(parser)
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
    from vggrepro.data.truth.ground_truth import own_labels
    from vggrepro.evaluation.feature_files import (
        blob_files,
        check_described,
        check_name,
        described_by,
        feature_file,
    )
    from vggrepro.evaluation.features import descriptor_shape, measured_features
    from vggrepro.evaluation.measuring.evaluated_net import load_network

    check_name(options.output)
    targets = blob_files(options.output, options.blobs)
    beside = [described_by(path) if path.suffix == ".npy" else None for path in targets.values()]
    check_outputs(*targets.values(), *beside, options=options)
    for path in targets.values():
        check_described(path)
    source = options.listed.open()
    descriptor = options.descriptor()
    files, mean = options.network.files(embedded=options.demo)
    networks = [load_network(one, mean, options.blobs[0]) for one in files]
    of_blobs = {blob: [network.of_blob(blob) for network in networks] for blob in options.blobs}
    shapes = {blob: (len(source), *descriptor_shape(of_blobs[blob], descriptor)) for blob in of_blobs}
    images, running = options.reading.whole(source), options.running.running(ranks)
    with ExitStack() as stack:
        files_of = {} if ranks.rank else targets  # the first rank writes what all have measured
        outputs = {b: stack.enter_context(feature_file(path, shapes[b])) for b, path in files_of.items()}
        found = stack.enter_context(
            measured_features(images, networks, options.blobs, descriptor, running, ranks, options.cache)
        )
        if ranks.rank:
            return 0
        found.write({blob: output.features for blob, output in outputs.items()})
        problems = found.problems()
        keys = [source.key(index) for index in range(len(source))]
        labels = own_labels(source) if options.listed.list_file is not None else None
        for blob, output in outputs.items():
            output.describe(keys, labels, _facts(options, of_blobs[blob], descriptor, problems))
    for blob, path in targets.items():
        note(f"{path}: {' x '.join(map(str, shapes[blob]))}")
    for index, problem in problems.items():
        row = f"row {index} is NaN" if problem.kind == "bad" else f"row {index}"
        print(f"warning: {row}: {printable(problem.reason)}", file=sys.stderr)
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
