"""upgrade_prototxt: bring a net, a solver or a weight file to Caffe's newest format."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, TYPE_CHECKING

from vggrepro.cli.options.fork_options import ForkOptions, add_fork_options
from vggrepro.cli.options.quiet import add_quiet_option
from vggrepro.cli.options.read import flag, given, read
from vggrepro.cli.options.results import add_output_option, check_outputs
from vggrepro.cli.run import Parser, called, run
from vggrepro.errors import OptionError, ParseError, naming
from vggrepro.system.atomic import replacing
from vggrepro.system.notes import next_step, note
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
    forks: ForkOptions
    quiet: bool
    traceback: bool


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 upgraded, 1 upgraded with problems (written all the same, as Caffe does), 2 an error."""
    options = read(UpgradeOptions, parser().parse_args(argv))

    def body() -> int:
        code = upgrade(options)
        if options.output is not None and options.output.is_file():
            next_step(_use(options, shlex.quote(str(options.output))))
        return code

    return run(body, traceback=options.traceback, quiet=options.quiet)


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
    add_fork_options(parser)
    add_quiet_option(parser)
    return parser


def _use(options: UpgradeOptions, output: str) -> str:
    """What can be done with the ``output``."""
    from vggrepro.caffe.text import is_text

    if options.solver:
        return f"{called('train-ilsvrc')} --config {output}"
    if is_text(options.file):
        return f"{called('inspect-net')} {output}"
    return f"{called('convert-caffemodel')} deploy.prototxt {output} -o model.onnx --verify"


def upgrade(options: UpgradeOptions) -> int:
    """Write the file. The exit code: 1 if there were problems. Raises VggReproError and OSError."""
    from vggrepro.caffe.text import format_message, is_text, read_net, read_solver
    from vggrepro.caffe.unknown_layers import PartlyKnownNet
    from vggrepro.caffe.upgrade import upgrade_net_report, upgrade_solver_report
    from vggrepro.caffe.upgraded_text import upgraded_text

    path = options.file
    text = is_text(path)
    # A weight file loses nothing when it is upgraded in its place; a text would lose its comments.
    check_outputs(options.output, options=options if text else None)
    _check_forks(options, text=text)
    if not text:
        return _upgrade_binary(path, options.output, solver=options.solver)
    rules = options.forks.rules()
    if options.solver:
        solver = upgrade_solver_report(read_solver(path, allow_unknown=rules.allow_unknown), path)
        return _write(solver, format_message(solver.message), options)
    if rules.make_layers:  # fields of their own are kept
        written = rules.read(path)
    else:
        written = PartlyKnownNet(read_net(path, allow_unknown=rules.allow_unknown), {})
    net = upgrade_net_report(written.message, path, rules.input_shapes)
    with naming(path):
        content = upgraded_text(rules.with_defaults(net.message), written)
    return _write(net, content, options)


def _check_forks(options: UpgradeOptions, *, text: bool) -> None:
    """Raise OptionError for options that nothing would come of."""
    of_nets = {field.name for field in fields(options.forks)} - {"custom_shape"}
    for name in given(options.forks):
        if name not in (of_nets if text and not options.solver else {"allow_unknown"}):
            raise OptionError(f"{flag(name)}: upgrading {options.file} has no use for it")


def _write(
    upgraded: Upgraded[NetParameter] | Upgraded[SolverParameter], content: str, options: UpgradeOptions
) -> int:
    with _output(options.output) as file:
        file.write(content.encode("utf-8", "surrogateescape"))
    return _report(upgraded, options.file)


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
        note(f"{path}: upgraded deprecated {step}")
    if not upgraded.steps:
        note(f"File already in latest proto format: {path}")
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
