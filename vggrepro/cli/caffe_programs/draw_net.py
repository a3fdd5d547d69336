"""draw_net: a net as a picture, with the arguments of Caffe's python/draw_net.py (extra ``draw``)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from vggrepro.caffe.messages import PHASES
from vggrepro.caffe.upgrade import upgrade_net_param
from vggrepro.cli.options.read import read
from vggrepro.cli.run import Parser
from vggrepro.pycaffe import mode
from vggrepro.pycaffe.draw import draw_net_to_file


@dataclass(frozen=True)
class DrawOptions:
    """The command line."""

    input_net_proto_file: str
    output_image_file: str
    rankdir: str
    phase: str
    display_lrm: bool


def main(arguments: Sequence[str]) -> int:
    """Write the picture."""
    options = read(DrawOptions, parser().parse_args(arguments))
    file = options.input_net_proto_file
    net = upgrade_net_param(mode.fork_rules().read(file).message, file)
    print(f"Drawing net to {options.output_image_file}")
    phase = None if options.phase == "ALL" else PHASES[options.phase]
    draw_net_to_file(net, options.output_image_file, options.rankdir, phase, options.display_lrm)
    return 0


def parser() -> argparse.ArgumentParser:
    """All options of the tool."""
    parser = Parser(prog="draw_net", description="Draw a net. The picture needs Graphviz's program dot.")
    parser.add_argument("input_net_proto_file", help="the net definition")
    parser.add_argument("output_image_file", help="the picture; its name's end tells the format")
    parser.add_argument(
        "--rankdir", default="LR", help="the direction: LR, RL, TB (downwards) or BT (default: LR)"
    )
    parser.add_argument(
        "--phase",
        default="ALL",
        choices=["TRAIN", "TEST", "ALL"],
        help="the phase whose layers to draw (default: ALL)",
    )
    parser.add_argument(
        "--display_lrm", action="store_true", help="show the learning rate multipliers that are not 0"
    )
    return parser
