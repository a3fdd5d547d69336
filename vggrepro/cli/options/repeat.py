"""Running an evaluation again from its report alone: ``--repeat``."""

from __future__ import annotations

from argparse import Action, BooleanOptionalAction, Namespace
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from vggrepro.cli.options.evaluation import RunningOptions
from vggrepro.cli.options.read import Options, flag
from vggrepro.cli.run import Parser
from vggrepro.errors import DataError, OptionError

if TYPE_CHECKING:
    from vggrepro.evaluation.reporting.stored_report import StoredReport

_NET_FILES = ("weights", "deploy", "published")
"""Options with the files of nets, NET=FILE."""

_FILES = (
    "prototxt_dir",
    "mean",
    "images",
    "labels",
    "synsets",
    "devkit",
    "blacklist",
    "tar_index",
    "compare",
    "layers",
    "proto",
)
"""Options with files that are read."""

_RUNNING = tuple(field.name for field in fields(RunningOptions))

_RESULTS = ("cache", "json", "csv", "markdown", "html", "predictions", "traceback", "repeat")
"""Options that a repetition does not take from the report: it measures anew, and writes what it is told."""

_UNGIVEN = object()


def add_repeat_option(options: Options) -> None:
    """Add ``--repeat``."""
    options.add_argument(
        "--repeat",
        type=Path,
        metavar="REPORT.json",
        help="run again what the --json report of a run tells; exit with 2 if one of its files has changed,"
        " with 1 if a number differs; files that moved, how it is run and where results go may be given",
    )


class StoredParser(Parser):
    """A parser for the command that a report holds: what is wrong with it is an error of the report."""

    def error(self, message: str) -> NoReturn:
        raise DataError(message)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise DataError("it evaluates nothing")


def repeated(
    parser: Callable[[type[Parser]], Parser], report: StoredReport, command: Sequence[str]
) -> Namespace:
    """The arguments of the report's run, with the files that moved as the ``command`` of the repetition gives
    them. ``parser`` makes the command's parser of a class.

    Raises DataError for a report whose command is none of this version, OptionError for an option that a
    repetition takes from the report.
    """
    try:
        then = vars(parser(StoredParser).parse_args(report.command))
    except DataError as error:
        raise DataError(f"{report.path}: its command is none of this version: {error}") from None
    known = parser(Parser)
    given = _given(known, command)
    for name in _RESULTS:
        then[name] = known.get_default(name)
    for name in (*_NET_FILES, *_FILES):
        then[name] = _placed(then[name], report.folder)
    for name, value in given.items():
        if name in _NET_FILES:
            then[name] = _moved(name, then[name], value)
        elif name not in (*_FILES, *_RUNNING, *_RESULTS) or (name == "mean" and not isinstance(value, Path)):
            raise OptionError(f"{flag(name)}: --repeat takes it from the report")
        elif name in _FILES and then[name] is None and name not in ("prototxt_dir", "tar_index"):
            raise OptionError(f"{flag(name)}: the run of {report.path} had none")
        else:
            then[name] = value
    return Namespace(**then)


def _given(parser: Parser, command: Sequence[str]) -> dict[str, Any]:
    """The options that a command gives, even those that it gives their defaults."""
    names = {action.dest: action.default for action in parser._actions if action.dest != "help"}
    empty = {name: [] if isinstance(default, list) else _UNGIVEN for name, default in names.items()}
    found = vars(parser.parse_args(command, Namespace(**empty)))
    return {name: value for name, value in found.items() if value is not _UNGIVEN and value != []}


def _placed(value: Any, folder: Path) -> Any:
    """File names as the command of a run that was started in ``folder`` means them."""
    if isinstance(value, list):
        return [_placed(o, folder) if isinstance(o, Path) else _placed_net(o, folder) for o in value]
    return folder / value if isinstance(value, Path) and folder != Path.cwd() else value


def _placed_net(option: str, folder: Path) -> str:
    from vggrepro.evaluation.net_files import net_option

    if folder == Path.cwd():
        return option
    if (folder / option).exists():  # a file whose own name has an equals sign
        return str(folder / option)
    net, path = net_option(option)
    return str(folder / path) if net is None else f"{net}={folder / path}"


def _moved(name: str, options: Sequence[str], given: Sequence[str]) -> list[str]:
    """The options NET=FILE of a run, with the files that are ``given`` anew in their places."""
    from vggrepro.evaluation.net_files import net_option

    found = [net_option(option) for option in options]
    moved = list(options)
    for option in given:
        asked, path = net_option(option)
        fitting = [i for i, (net, old) in enumerate(found) if asked in _names(net, old)]
        if len(fitting) != 1:
            known = ", ".join(options) or "nothing"
            raise OptionError(f"{flag(name)} {option}: expected a file for one of the report's: {known}")
        net, old = found[fitting[0]]
        if net is None and name == "weights":
            net = old.stem  # what results call it
        moved[fitting[0]] = str(path) if net is None else f"{net}={path}"
    return moved


def _names(net: str | None, old: Path) -> tuple[str | None, ...]:
    """What an option may call a net: nothing, its name, the name of its file, its configuration."""
    return (None, old.stem) if net is None else (None, net, net.partition(":")[0])


def command_line(parser: Parser, arguments: Namespace) -> list[str]:
    """A command with these arguments, but for where results go: what the report of a repetition holds."""
    values = vars(arguments)
    words = [_words(a, values[a.dest]) for a in parser._actions if a.dest not in ("help", *_RESULTS)]
    return [word for found in words for word in found]


def _words(action: Action, value: Any) -> list[str]:
    """One option as it is written on a command line; nothing where it has its default."""
    if value == action.default:
        return []
    name = action.option_strings[0]
    if isinstance(action, BooleanOptionalAction):
        return [name if value else action.option_strings[1]]
    if value is True:
        return [name]
    if isinstance(value, list):
        return [word for one in value for word in (name, str(one))]
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return [f"{name}={text}"]  # a value may begin with a dash
