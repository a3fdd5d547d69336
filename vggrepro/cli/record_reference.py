"""record_reference: what a net answers today, stored for check_reference."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vggrepro.cli.options.fork_options import ForkOptions, add_fork_options
from vggrepro.cli.options.net import add_state_options
from vggrepro.cli.options.quiet import add_quiet_option
from vggrepro.cli.options.read import read
from vggrepro.cli.options.results import check_outputs
from vggrepro.cli.run import Parser, called, run
from vggrepro.data.npy_file import read_npy
from vggrepro.errors import NetError, OptionError, did_you_mean
from vggrepro.system.notes import next_step
from vggrepro.system.terminal import printable

if TYPE_CHECKING:
    from vggrepro.net import Net

_EXAMPLES = (
    "deploy.prototxt weights.caffemodel --case case",
    "deploy.prototxt weights.caffemodel --case case --feed data=images.npy",
)


@dataclass(frozen=True)
class RecordOptions:
    """The command line."""

    prototxt: str
    weights: str | None
    case: Path
    feed: tuple[str, ...]
    stage: tuple[str, ...]
    level: int
    forks: ForkOptions
    quiet: bool
    traceback: bool


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 recorded, 2 an error."""
    options = read(RecordOptions, parser().parse_args(argv))
    return run(lambda: _record(options), traceback=options.traceback, quiet=options.quiet)


def parser() -> argparse.ArgumentParser:
    """All options of the command."""
    parser = Parser(
        command="record_reference",
        examples=_EXAMPLES,
        description="Store what a net answers in phase TEST, every blob by the float64 reference, as a case:"
        " the reference of a regression test that check_reference runs.",
        epilog="exit codes: 0 recorded, 2 an error",
    )
    parser.add_argument("prototxt", help="the net, of any format")
    parser.add_argument("weights", nargs="?", help="its .caffemodel or HDF5 weights, unless it has none")
    parser.add_argument(
        "--case", type=Path, required=True, metavar="FOLDER", help="of the case; made if need be"
    )
    parser.add_argument(
        "--feed",
        action="append",
        default=[],
        metavar="[BLOB=]FILE.npy",
        help="what to feed an input (default: noise as strong as images, 0 or 1 for labels); repeatable",
    )
    add_state_options(parser)
    add_fork_options(parser)
    add_quiet_option(parser)
    return parser


def _record(options: RecordOptions) -> int:
    from vggrepro.net import load_by_rules
    from vggrepro.verify.recorded_case import NetState, record_case
    from vggrepro.verify.reference_case import ReferenceCase

    files = ReferenceCase(options.case).files
    if options.case.is_dir():
        check_outputs(files.net, files.weights, files.about, files.io, files.proto, options=options)
    state = NetState(options.stage, options.level, options.forks.rules())
    net = load_by_rules(
        options.prototxt,
        options.weights,
        state.rules,
        stages=state.stages,
        level=state.level,
        fill=False,
    )
    inputs = {**_noise(net), **_given(net, options.feed)}
    record_case(options.case, Path(options.prototxt), net, inputs, state)
    print(
        printable(f"{options.case}: {len(net.blobs) - len(net.inputs)} blobs; check_reference compares them")
    )
    next_step(f"{called('check-reference')} {shlex.quote(str(options.case))}")
    return 0


def _noise(net: Net) -> dict[str, npt.NDArray[np.float32]]:
    from vggrepro.graph.forward import build_forward
    from vggrepro.verify.comparison import example_inputs
    from vggrepro.verify.input_noise import declared_std

    return example_inputs(net, build_forward(net, fixed=True), std=declared_std(net))


def _given(net: Net, entries: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """The arrays of ``--feed`` by blob. Raises OptionError, NetError."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    for entry in entries:
        blob, separator, file = entry.partition("=")
        if not separator:
            if len(net.inputs) != 1:
                raise OptionError(
                    f"--feed {entry}: expected BLOB=FILE.npy, BLOB one of {', '.join(net.inputs)}"
                )
            (blob,), file = net.inputs, entry
        if blob not in net.inputs:
            there = f"it has {', '.join(net.inputs)}{did_you_mean(blob, net.inputs)}"
            raise OptionError(f"--feed {entry}: the net has no input {blob!r}; {there}")
        array = read_npy(file)
        if array.shape != net.inputs[blob]:
            raise NetError(f"{file}: shape {array.shape}, expected {net.inputs[blob]} for input {blob!r}")
        arrays[blob] = array.astype(np.float32)
    return arrays
