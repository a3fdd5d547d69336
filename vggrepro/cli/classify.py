"""classify: the likeliest classes of images, by any of the paper's protocols."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vggrepro.caffe.atomic import replacing
from vggrepro.cli.evaluation_options import (
    add_decoding_options,
    add_network_options,
    add_protocol_options,
    add_reading_options,
    add_running_options,
    mean_from,
    positive,
    reading_from,
    running_from,
)
from vggrepro.cli.run import run
from vggrepro.data.labels import read_synsets
from vggrepro.errors import DataError, ProtocolError
from vggrepro.evaluation import demo
from vggrepro.evaluation.classify import Guess, best_guesses, classify, files
from vggrepro.evaluation.network import Network, load
from vggrepro.evaluation.presets import for_options
from vggrepro.evaluation.protocols import Member
from vggrepro.runtime.ranks import Alone

_SCALE = 256
"""The smallest side Q that goes with the paper's crops of 224 pixels."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 2 an error."""
    arguments = _parser().parse_args(argv)
    return run(lambda: _classify(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="classify", description="The likeliest classes of images, with their probabilities."
    )
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="image files")
    parser.add_argument(
        "--demo",
        action="store_true",
        help="use the embedded digit network (default without --weights)",
    )
    parser.add_argument("--synsets", type=Path, metavar="FILE", help="class names: synset_words.txt")
    parser.add_argument("--top", type=positive, default=5, metavar="K", help="classes to show (default: 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the guesses as JSON")
    add_protocol_options(parser)
    add_network_options(parser)
    add_reading_options(parser)
    add_decoding_options(parser)
    add_running_options(parser)
    return parser


def _classify(arguments: argparse.Namespace) -> int:
    embedded = arguments.demo or not (arguments.weights or arguments.deploy)
    if arguments.demo and (arguments.weights or arguments.deploy):
        raise ProtocolError("--weights and --deploy: --demo brings its own")
    networks = _networks(arguments, embedded)
    names = _names(arguments, embedded, networks[0].channels)
    members = [_member(arguments, network.name, embedded) for network in networks]
    posteriors = classify(
        files(arguments.images),
        members,
        {network.name: network for network in networks},
        reading_from(arguments),
        running_from(arguments, Alone()),
    )
    found = best_guesses(posteriors, min(arguments.top, posteriors.shape[1]))
    for path, guesses in zip(arguments.images, found, strict=True):
        print(path)
        for guess in guesses:
            print(f"  {guess.probability:8.4f}  {names[guess.label]}")
    if arguments.json is not None:
        _write(arguments, found, names, members)
    return 0


def _networks(arguments: argparse.Namespace, embedded: bool) -> list[Network]:
    if embedded:
        return [load(demo.FILES, demo.mean_bgr(), arguments.score_blob)]
    chosen = for_options(arguments.weights, arguments.deploy, arguments.prototxt_dir)
    return [load(one, mean_from(arguments), arguments.score_blob) for one in chosen]


def _member(arguments: argparse.Namespace, net: str, embedded: bool) -> Member:
    protocol = arguments.protocol or "dense"
    scales = arguments.scales or (demo.SCALE if embedded else _SCALE,)
    unflipped = protocol == "centre" or (
        embedded and protocol != "tencrop"
    )  # a mirrored digit is another sign
    flip = not unflipped if arguments.flip is None else arguments.flip
    return Member(net, protocol, scales, flip, arguments.average)


def _names(arguments: argparse.Namespace, embedded: bool, classes: int) -> list[str]:
    path = arguments.synsets or (demo.SYNSETS if embedded else None)
    if path is None:
        return [f"class {label}" for label in range(classes)]
    synsets = read_synsets(path)
    if len(synsets) != classes:
        raise DataError(f"{path}: {len(synsets)} classes, but the network has {classes}")
    return [f"{wnid} {words}".strip() for wnid, words in zip(synsets.wnids, synsets.words, strict=True)]


def _write(
    arguments: argparse.Namespace, found: list[list[Guess]], names: list[str], members: list[Member]
) -> None:
    result: dict[str, Any] = {
        "members": [str(member) for member in members],
        "reading": reading_from(arguments).facts(),
        "images": [
            {
                "image": str(path),
                "guesses": [
                    {"label": g.label, "name": names[g.label], "probability": g.probability} for g in guesses
                ],
            }
            for path, guesses in zip(arguments.images, found, strict=True)
        ],
    }
    with replacing(arguments.json) as file:
        file.write((json.dumps(result, indent=1, ensure_ascii=False) + "\n").encode("utf-8"))
