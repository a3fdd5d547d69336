"""classify: the likeliest classes of images, by any of the paper's protocols."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vggrepro.cli.options.digits import JobOptions
from vggrepro.cli.options.evaluation import (
    NetworkOptions,
    ProtocolOptions,
    ReadingOptions,
    RunningOptions,
    add_demo_option,
    add_network_options,
    add_protocol_options,
    add_reading_options,
    add_running_options,
    add_score_option,
)
from vggrepro.cli.options.images import add_synsets_option
from vggrepro.cli.options.quiet import add_quiet_option
from vggrepro.cli.options.read import read
from vggrepro.cli.options.results import add_json_option, check_outputs
from vggrepro.cli.options.values import positive
from vggrepro.cli.run import Parser, run
from vggrepro.demo import SCALE
from vggrepro.errors import DataError
from vggrepro.evaluation.protocols import Member
from vggrepro.system.atomic import write_json
from vggrepro.system.notes import note
from vggrepro.system.terminal import escaped, printable

if TYPE_CHECKING:
    from vggrepro.evaluation.image_posteriors import Guess
    from vggrepro.evaluation.measuring.pipeline import ImageProblem

_SCALE = 256
"""The smallest side Q that goes with the paper's crops of 224 pixels."""


_EXAMPLES = (
    "digit.png --demo",
    "cat.jpg dog.jpg --weights D=VGG_ILSVRC_16_layers.caffemodel --synsets synset_words.txt",
)


@dataclass(frozen=True)
class ClassifyOptions:
    """The command line."""

    images: tuple[Path, ...]
    demo: bool
    synsets: Path | None
    top: int
    json: Path | None
    protocol: ProtocolOptions
    network: NetworkOptions
    score_blob: str | None
    reading: ReadingOptions
    running: RunningOptions
    quiet: bool
    traceback: bool

    @property
    def embedded(self) -> bool:
        """Whether the embedded network looks at the images."""
        return self.demo or not (self.network.weights or self.network.deploy)

    def member(self, net: str) -> Member:
        scale = SCALE if self.embedded else _SCALE
        # A mirrored digit is another sign.
        return self.protocol.member(net, self.protocol.scales or (scale,), mirrors=not self.embedded)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 2 an error."""
    options = read(ClassifyOptions, parser().parse_args(argv))
    return run(lambda: _classify(options), traceback=options.traceback, quiet=options.quiet)


def parser() -> argparse.ArgumentParser:
    """All options of the command."""
    parser = Parser(
        command="classify",
        examples=_EXAMPLES,
        description="The likeliest classes of images, with their probabilities.",
    )
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="image files")
    add_demo_option(parser, "use the embedded digit network (default without --weights)")
    add_synsets_option(parser)
    parser.add_argument("--top", type=positive, default=5, metavar="K", help="classes to show (default: 5)")
    add_json_option(parser)
    protocol = parser.add_argument_group("protocol (section 3.2)")
    scales = f"{_SCALE}, of the embedded network {SCALE}; the mean over several is taken"
    add_protocol_options(protocol, scales, "except for --protocol centre and the embedded network")
    networks = parser.add_argument_group("networks")
    add_network_options(networks)
    add_score_option(networks)
    add_reading_options(parser)
    add_running_options(parser)
    add_quiet_option(parser)
    return parser


def _classify(options: ClassifyOptions) -> int:
    from vggrepro.evaluation.image_posteriors import best_guesses, image_files, image_posteriors
    from vggrepro.evaluation.measuring.evaluated_net import load_classifier

    check_outputs(options.json, options=options)
    given = JobOptions(options.network, options.protocol, options.reading, options.synsets).with_job()
    options = replace(
        options,
        network=given.network,
        protocol=given.protocol,
        reading=given.reading,
        synsets=given.synsets,
    )
    net_files, mean = options.network.files(embedded=options.embedded)
    networks = [load_classifier(one, mean, options.score_blob) for one in net_files]
    names = _names(options, networks[0].channels)
    members = [options.member(network.name) for network in networks]
    images = options.reading.whole(image_files(options.images))
    posteriors, problems = image_posteriors(images, members, networks, options.running.running())
    if options.embedded and not options.demo:
        note("no --weights: the embedded network looks for handwritten digits")
    found = best_guesses(posteriors, min(options.top, posteriors.shape[1]))
    if options.json is not None:
        write_json(options.json, _result(options, found, problems, names, members))
    for path, guesses in zip(options.images, found, strict=True):
        print(escaped(str(path)))
        for guess in guesses:
            print(f"  {guess.probability:8.4f}  {escaped(names[guess.label])}")
    for image in problems.values():
        print(f"warning: {printable(image.reason)}", file=sys.stderr)
    return 0


def _names(options: ClassifyOptions, classes: int) -> list[str]:
    from vggrepro.data.truth.labels import read_synsets
    from vggrepro.evaluation import demo

    path = options.synsets or (demo.SYNSETS if options.embedded else None)
    if path is None:
        return [f"class {label}" for label in range(classes)]
    synsets = read_synsets(path)
    if len(synsets) != classes:
        raise DataError(f"{path}: {len(synsets)} classes, but the network has {classes}")
    return synsets.names


def _result(
    options: ClassifyOptions,
    found: Sequence[Sequence[Guess]],
    problems: Mapping[int, ImageProblem],
    names: Sequence[str],
    members: Sequence[Member],
) -> dict[str, Any]:
    """What ``--json`` writes; ``problem`` says what is odd about an image."""
    images = []
    for index, (path, guesses) in enumerate(zip(options.images, found, strict=True)):
        told = [{"label": g.label, "name": names[g.label], "probability": g.probability} for g in guesses]
        image = {"image": str(path), "guesses": told}
        images.append({**image, "problem": problems[index].reason} if index in problems else image)
    reading = options.reading.reading.facts()
    return {"members": [str(member) for member in members], "reading": reading, "images": images}
