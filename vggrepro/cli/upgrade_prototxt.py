"""upgrade_prototxt: bring a net, a solver or a weight file to Caffe's newest format."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO

from vggrepro.caffe.binary import open_net
from vggrepro.caffe.snapshot import write_upgraded
from vggrepro.caffe.text import format_message, is_text, read_net, read_solver
from vggrepro.caffe.upgrade import Upgraded, upgrade_net_report, upgrade_solver_report
from vggrepro.cli.run import Parser, run
from vggrepro.errors import ParseError
from vggrepro.system.atomic import replacing


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 upgraded, 1 upgraded with problems (written all the same, as Caffe does), 2 an error."""
    arguments = _parser().parse_args(argv)
    return run(lambda: _upgrade(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="upgrade_prototxt",
        description="Upgrade a net or solver definition, or a .caffemodel, to the newest format of Caffe.",
        epilog="exit codes: 0 upgraded, 1 upgraded with problems, 2 an error",
    )
    parser.add_argument("file", help="a prototxt or .caffemodel, of any format")
    parser.add_argument("-o", "--output", metavar="FILE", help="the file to write (default: standard output)")
    parser.add_argument("--solver", action="store_true", help="the file is a solver definition")
    parser.add_argument(
        "--allow-unknown",
        action="store_true",
        help="leave out fields that BVLC Caffe does not know, with a warning, instead of stopping",
    )
    return parser


def _upgrade(arguments: argparse.Namespace) -> int:
    path = arguments.file
    if is_text(path):
        if arguments.solver:
            solver = read_solver(path, allow_unknown=arguments.allow_unknown)
            upgraded = upgrade_solver_report(solver, path)
        else:
            upgraded = upgrade_net_report(read_net(path, allow_unknown=arguments.allow_unknown), path)
        with _output(arguments.output) as file:
            file.write(format_message(upgraded.message).encode())
    else:
        if arguments.solver:
            raise ParseError(f"{path}: a binary file, not a solver definition")
        binary = open_net(path)
        upgraded = upgrade_net_report(binary.message, path)
        with _output(arguments.output) as file:
            write_upgraded(file, upgraded.message, binary)
    return _report(upgraded, path)


def _report(upgraded: Upgraded, path: str) -> int:
    for step in upgraded.steps:
        print(f"{path}: upgraded deprecated {step}", file=sys.stderr)
    if not upgraded.steps:
        print(f"File already in latest proto format: {path}", file=sys.stderr)
    for problem in upgraded.problems:
        print(f"problem: {path}: {problem}", file=sys.stderr)
    return 1 if upgraded.problems else 0


@contextmanager
def _output(path: str | None) -> Iterator[IO[bytes]]:
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    else:
        with replacing(path) as file:
            yield file
