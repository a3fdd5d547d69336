"""upgrade_prototxt: bring a net, a solver or a weight file to Caffe's newest format."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from vggrepro.cli.options.net import add_unknown_option
from vggrepro.cli.options.read import read
from vggrepro.cli.options.results import add_output_option, check_outputs
from vggrepro.cli.run import Parser, run
from vggrepro.errors import ParseError
from vggrepro.system.atomic import replacing
from vggrepro.system.terminal import printable

if TYPE_CHECKING:
    from vggrepro.caffe.messages import NetParameter, SolverParameter
    from vggrepro.caffe.upgrade import Upgraded

_EXAMPLES = (
    "old.prototxt -o new.prototxt",
    "old.caffemodel -o new.caffemodel",
    "--solver solver.prototxt",
)


@dataclass(frozen=True)
class UpgradeOptions:
    """The command line."""

    file: str
    output: Path | None
    solver: bool
    allow_unknown: bool
    traceback: bool


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 upgraded, 1 upgraded with problems (written all the same, as Caffe does), 2 an error."""
    options = read(UpgradeOptions, parser().parse_args(argv))
    return run(lambda: _upgrade(options), traceback=options.traceback)


def parser() -> argparse.ArgumentParser:
    """All options of the command."""
    parser = Parser(
        command="upgrade_prototxt",
        examples=_EXAMPLES,
        description="Upgrade a net or solver definition, or a .caffemodel, to the newest format of Caffe.",
        epilog="exit codes: 0 upgraded, 1 upgraded with problems, 2 an error",
    )
    parser.add_argument("file", help="a prototxt or .caffemodel, of any format")
    add_output_option(parser, "the file to write (default: standard output)", required=False)
    parser.add_argument("--solver", action="store_true", help="the file is a solver definition")
    add_unknown_option(parser)
    return parser


def _upgrade(options: UpgradeOptions) -> int:
    from vggrepro.caffe.text import format_message, is_text, read_net, read_solver
    from vggrepro.caffe.upgrade import upgrade_net_report, upgrade_solver_report

    path = options.file
    text = is_text(path)
    # A weight file loses nothing when it is upgraded in its place; a text would lose its comments.
    check_outputs(options.output, options=options if text else None)
    if not text:
        return _upgrade_binary(path, options.output, solver=options.solver)
    upgraded: Upgraded[NetParameter] | Upgraded[SolverParameter]
    if options.solver:
        solver = read_solver(path, allow_unknown=options.allow_unknown)
        upgraded = upgrade_solver_report(solver, path)
    else:
        upgraded = upgrade_net_report(read_net(path, allow_unknown=options.allow_unknown), path)
    with _output(options.output) as file:
        file.write(format_message(upgraded.message).encode())
    return _report(upgraded, path)


def _upgrade_binary(path: str, output: Path | None, *, solver: bool) -> int:
    from vggrepro.caffe.binary import open_net
    from vggrepro.caffe.snapshot import write_upgraded
    from vggrepro.caffe.upgrade import upgrade_net_report

    if solver:
        raise ParseError(f"{path}: a binary file, not a solver definition")
    binary = open_net(path)
    upgraded = upgrade_net_report(binary.message, path)
    with _output(output) as file:
        write_upgraded(file, upgraded.message, binary)
    return _report(upgraded, path)


def _report(upgraded: Upgraded[NetParameter] | Upgraded[SolverParameter], path: str) -> int:
    for step in upgraded.steps:
        print(printable(f"{path}: upgraded deprecated {step}"), file=sys.stderr)
    if not upgraded.steps:
        print(printable(f"File already in latest proto format: {path}"), file=sys.stderr)
    for problem in upgraded.problems:
        print(f"problem: {printable(f'{path}: {problem}')}", file=sys.stderr)
    return 1 if upgraded.problems else 0


@contextmanager
def _output(path: Path | None) -> Iterator[IO[bytes]]:
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    else:
        with replacing(path) as file:
            yield file
