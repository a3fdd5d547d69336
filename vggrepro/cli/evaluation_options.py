"""Options that the commands of the evaluation share, with one meaning everywhere."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vggrepro.data.parallel import default_threads
from vggrepro.errors import ProtocolError
from vggrepro.evaluation.feed import Running
from vggrepro.evaluation.network import MEAN_BGR
from vggrepro.evaluation.presets import PROTOTXT
from vggrepro.evaluation.protocols import AVERAGES, BEFORE, PROTOCOLS
from vggrepro.evaluation.views import Reading
from vggrepro.runtime.ranks import Ranks


def positive(text: str) -> int:
    """A whole number from 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected 1 or more")
    return value


def sizes(text: str) -> tuple[int, ...]:
    """``256,384,512``."""
    return tuple(positive(part) for part in text.split(","))


def numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


def add_protocol_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("protocol (section 3.2)")
    group.add_argument("--protocol", choices=PROTOCOLS, help="how an image is looked at (default: dense)")
    group.add_argument(
        "--scales", type=sizes, metavar="Q,...", help="smallest sides in pixels; the mean over them is taken"
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


def add_network_options(parser: argparse.ArgumentParser) -> None:
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
        help="where the paper's nets are, as D/deploy.prototxt (default: %(default)s)",
    )
    group.add_argument(
        "--mean",
        type=numbers,
        metavar="B,G,R",
        help=f"mean pixel, 0-255 (default: {','.join(map(str, MEAN_BGR))}, of the published models)",
    )
    group.add_argument("--score-blob", metavar="BLOB", help="class scores (default: under the final softmax)")


def add_decoding_options(parser: argparse.ArgumentParser) -> None:
    """``--exif`` and ``--threads`` as in :mod:`vggrepro.cli.image_options`, for images given one by one."""
    parser.add_argument(
        "--exif",
        choices=["ignore", "apply"],
        default="ignore",
        help="EXIF orientation: ignored as by the OpenCV of 2014, or applied (default: ignore)",
    )
    parser.add_argument(
        "--threads",
        type=positive,
        default=default_threads(),
        metavar="N",
        help="threads that decode (default: all processors, %(default)s here)",
    )


def add_reading_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how images are read")
    group.add_argument(
        "--kernel",
        choices=["linear", "cubic", "area", "lanczos", "matlab"],
        default="linear",
        help="how images are rescaled; matlab is imresize, as in the authors' demo (default: linear)",
    )
    group.add_argument(
        "--centre",
        choices=["floor", "matcaffe"],
        default="floor",
        help="the centre crop of an odd margin: rounded down, or up as in the authors' demo (default: floor)",
    )


def add_running_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("running (changes no result)")
    group.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
    group.add_argument(
        "--network-threads",
        type=int,
        default=0,
        metavar="N",
        help="CPU threads of the network (default: 0, all cores)",
    )
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
        threads=arguments.network_threads,
        batch=arguments.batch or (8 if arguments.device == "cpu" else 64),
        window=arguments.window,
        workers=arguments.threads,
    )
    if ranks.size > 1 and arguments.device == "cuda":
        return replace(running, device=f"cuda:{ranks.local_rank}")
    return running


def mean_from(arguments: argparse.Namespace) -> Sequence[float]:
    mean = MEAN_BGR if arguments.mean is None else arguments.mean
    if len(mean) != 3:
        raise ProtocolError(f"--mean {','.join(map(str, mean))}: expected three numbers, blue, green, red")
    return mean
