"""Options that the commands of the evaluation share, with one meaning everywhere."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import get_args

from vggrepro.cli.options.images import Options, add_decoding_options, add_workers_option
from vggrepro.cli.options.values import bgr, natural, positive, sizes
from vggrepro.data.augment import ILSVRC_MEAN_BGR
from vggrepro.data.preprocess import Centre, Kernel
from vggrepro.errors import ProtocolError
from vggrepro.evaluation import demo
from vggrepro.evaluation.measuring.network import Mean
from vggrepro.evaluation.measuring.pipeline import Running
from vggrepro.evaluation.measuring.views import Reading
from vggrepro.evaluation.presets import PROTOTXT, NetFiles, for_options
from vggrepro.evaluation.protocols import AVERAGES, BEFORE, PROTOCOLS
from vggrepro.system.ranks import Ranks


def add_protocol_options(parser: argparse.ArgumentParser, scales: str) -> None:
    """``scales`` tells what holds without ``--scales``."""
    group = parser.add_argument_group("protocol (section 3.2)")
    group.add_argument("--protocol", choices=PROTOCOLS, help="how an image is looked at (default: dense)")
    group.add_argument(
        "--scales",
        type=sizes,
        metavar="Q,...",
        help=f"smallest sides in pixels; the mean over them is taken ({scales})",
    )
    group.add_argument(
        "--flip",
        action=argparse.BooleanOptionalAction,
        help="look at mirror images too (default: except for --protocol centre)",
    )
    group.add_argument(
        "--average",
        choices=AVERAGES,
        default=BEFORE,
        help=f"where dense score maps are averaged over positions (default: {BEFORE})",
    )


def add_network_options(parser: argparse.ArgumentParser) -> Options:
    """Returns the group, for options that only some commands have."""
    group = parser.add_argument_group("networks")
    group.add_argument(
        "--weights",
        action="append",
        default=[],
        metavar="[NET=]FILE",
        help='caffemodel; NET is a name of the paper ("D:256;512", or D), or any for an own net; repeatable,'
        " several nets are fused",
    )
    group.add_argument(
        "--deploy",
        action="append",
        default=[],
        metavar="[NET=]FILE",
        help="deploy prototxt of a net that is not the paper's; repeatable",
    )
    group.add_argument(
        "--prototxt-dir",
        type=Path,
        default=PROTOTXT,
        metavar="DIR",
        help="where the paper's nets are, as D/deploy.prototxt (default: those of the package)",
    )
    group.add_argument(
        "--mean",
        type=bgr,
        metavar="B,G,R",
        help=f"mean pixel, 0-255 (default: {','.join(map(str, ILSVRC_MEAN_BGR))}, of the published models)",
    )
    return group


def add_score_option(options: Options) -> None:
    options.add_argument(
        "--score-blob", metavar="BLOB", help="class scores (default: what is under the final softmax)"
    )


def add_reading_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how images are read")
    add_decoding_options(group)
    group.add_argument(
        "--kernel",
        choices=get_args(Kernel),
        default="linear",
        help="how images are rescaled; matlab is imresize, as in the authors' demo (default: linear)",
    )
    group.add_argument(
        "--centre",
        choices=get_args(Centre),
        default="floor",
        help="the centre crop of an odd margin: rounded down, or up as in the authors' demo (default: floor)",
    )


def add_running_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("running (changes no result)")
    group.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
    group.add_argument(
        "--threads",
        type=natural,
        default=0,
        metavar="N",
        help="CPU threads of the network (default: 0, all cores)",
    )
    add_workers_option(group)
    group.add_argument(
        "--batch",
        type=positive,
        metavar="N",
        help="views at once of the input's size, fewer of larger ones (default: 8 on cpu, 64 on cuda)",
    )
    group.add_argument(
        "--window",
        type=positive,
        default=128,
        metavar="N",
        help="images decoded ahead and batched by size; ranks share out whole windows (default: 128)",
    )


def reading_from(arguments: argparse.Namespace) -> Reading:
    return Reading(arguments.exif, arguments.kernel, arguments.centre)


def running_from(arguments: argparse.Namespace, ranks: Ranks) -> Running:
    """``--device cuda`` with several ranks: one GPU each."""
    running = Running(
        device=arguments.device,
        threads=arguments.threads,
        batch=arguments.batch or (8 if arguments.device == "cpu" else 64),
        window=arguments.window,
        workers=arguments.workers,
    )
    if ranks.size > 1 and arguments.device == "cuda":
        return replace(running, device=f"cuda:{ranks.local_rank}")
    return running


def files_from(arguments: argparse.Namespace, *, embedded: bool) -> tuple[list[NetFiles], Mean]:
    """The networks' files and the mean that goes with them: the options', or those of the ``embedded`` demo.

    Raises ProtocolError for options that the demo has no use for, and for networks that are not there.
    """
    if embedded:
        refuse_with_demo(arguments, "weights", "deploy", "mean")
        return [demo.FILES], demo.mean_bgr()
    files = for_options(arguments.weights, arguments.deploy, arguments.prototxt_dir)
    return files, mean_from(arguments)


def mean_from(arguments: argparse.Namespace) -> Mean:
    mean: Mean = arguments.mean or ILSVRC_MEAN_BGR
    return mean


def refuse_with_demo(arguments: argparse.Namespace, *flags: str) -> None:
    """Raise ProtocolError if one of the options is given: the demo brings its own."""
    for flag in flags:
        if getattr(arguments, flag) not in (None, []):
            raise ProtocolError(f"--{flag}: --demo brings its own")
