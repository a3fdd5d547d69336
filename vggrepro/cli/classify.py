"""classify: the likeliest classes of images, by any of the paper's protocols."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vggrepro.cli.options.evaluation import (
    add_network_options,
    add_protocol_options,
    add_reading_options,
    add_running_options,
    add_score_option,
    files_from,
    reading_from,
    running_from,
)
from vggrepro.cli.options.values import positive
from vggrepro.cli.run import Parser, check_outputs, run
from vggrepro.data.truth.labels import read_synsets
from vggrepro.errors import DataError
from vggrepro.evaluation import demo
from vggrepro.evaluation.classify import Guess, best_guesses, classify, files
from vggrepro.evaluation.measuring.network import load_scores
from vggrepro.evaluation.measuring.pipeline import Odd, Task
from vggrepro.evaluation.protocols import Member
from vggrepro.system.atomic import write_json
from vggrepro.system.ranks import Alone

_SCALE = 256
"""The smallest side Q that goes with the paper's crops of 224 pixels."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 2 an error."""
    arguments = _parser().parse_args(argv)
    return run(lambda: _classify(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="classify", description="The likeliest classes of images, with their probabilities.")
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="image files")
    parser.add_argument(
        "--demo", action="store_true", help="use the embedded digit network (default without --weights)"
    )
    parser.add_argument("--synsets", type=Path, metavar="FILE", help="class names: synset_words.txt")
    parser.add_argument("--top", type=positive, default=5, metavar="K", help="classes to show (default: 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the guesses as JSON")
    add_protocol_options(parser, f"default: {_SCALE}; of the embedded network: {demo.SCALE}")
    add_score_option(add_network_options(parser))
    add_reading_options(parser)
    add_running_options(parser)
    return parser


def _classify(arguments: argparse.Namespace) -> int:
    check_outputs(arguments.json)
    embedded = arguments.demo or not (arguments.weights or arguments.deploy)
    net_files, mean = files_from(arguments, embedded=embedded)
    networks = [load_scores(one, mean, arguments.score_blob) for one in net_files]
    names = _names(arguments, embedded, networks[0].channels)
    members = [_member(arguments, network.name, embedded) for network in networks]
    task = Task.whole(files(arguments.images), reading_from(arguments), arguments.on_bad_image)
    posteriors, odd = classify(task, members, networks, running_from(arguments, Alone()))
    if embedded and not arguments.demo:
        print("no --weights: the embedded network looks for handwritten digits", file=sys.stderr)
    found = best_guesses(posteriors, min(arguments.top, posteriors.shape[1]))
    for path, guesses in zip(arguments.images, found, strict=True):
        print(path)
        for guess in guesses:
            print(f"  {guess.probability:8.4f}  {names[guess.label]}")
    for image in odd.values():
        print(f"warning: {image.reason}", file=sys.stderr)
    if arguments.json is not None:
        write_json(arguments.json, _result(arguments, found, odd, names, members))
    return 0


def _member(arguments: argparse.Namespace, net: str, embedded: bool) -> Member:
    protocol = arguments.protocol or "dense"
    scales = arguments.scales or (demo.SCALE if embedded else _SCALE,)
    flip = arguments.flip
    if flip is None:  # a mirrored digit is another sign
        flip = protocol == "tencrop" or not (embedded or protocol == "centre")
    return Member(net, protocol, scales, flip, arguments.average)


def _names(arguments: argparse.Namespace, embedded: bool, classes: int) -> list[str]:
    path = arguments.synsets or (demo.SYNSETS if embedded else None)
    if path is None:
        return [f"class {label}" for label in range(classes)]
    synsets = read_synsets(path)
    if len(synsets) != classes:
        raise DataError(f"{path}: {len(synsets)} classes, but the network has {classes}")
    return synsets.names


def _result(
    arguments: argparse.Namespace,
    found: Sequence[Sequence[Guess]],
    odd: Mapping[int, Odd],
    names: Sequence[str],
    members: Sequence[Member],
) -> dict[str, Any]:
    """What ``--json`` writes; ``problem`` says what is odd about an image."""
    images = []
    for index, (path, guesses) in enumerate(zip(arguments.images, found, strict=True)):
        told = [{"label": g.label, "name": names[g.label], "probability": g.probability} for g in guesses]
        image = {"image": str(path), "guesses": told}
        images.append({**image, "problem": odd[index].reason} if index in odd else image)
    reading = reading_from(arguments).facts()
    return {"members": [str(member) for member in members], "reading": reading, "images": images}
