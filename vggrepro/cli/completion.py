"""Completion of command lines by the shell, with argcomplete (the extra ``completion``)."""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from vggrepro.cli.options.values import result_file
from vggrepro.system.extras import extra
from vggrepro.system.file_names import WEIGHT_ENDINGS

ASKED = "_ARGCOMPLETE"
"""The environment variable in which a shell tells the number of the word that names the program, from 1."""

_NETS = (".prototxt", ".pbtxt")
_ARCHIVES = (".tar.gz", ".tgz", ".zip")

SUFFIXES: dict[str, tuple[str, ...]] = {
    "prototxt": (*_NETS, *_ARCHIVES),
    "deploy": _NETS,
    "config": _NETS,
    "caffemodel": WEIGHT_ENDINGS,
    "weights": (*WEIGHT_ENDINGS, *_ARCHIVES),
    "published": WEIGHT_ENDINGS,
    "init_from": WEIGHT_ENDINGS,
    "file": (*_NETS, *WEIGHT_ENDINGS),
    "model": (".onnx",),
    "mean": (".binaryproto", ".npy"),
    "input": (".npy",),
    "feed": (".npy",),
    "resume": (".solverstate", ".h5"),
    "repeat": (".json",),
    "statistics": (".json",),
    "json": (".json",),
    "layers": (".py",),
    "proto": (".proto",),
    "script": (".py",),
}
"""How the files end that an argument takes, by its name. Other arguments take files of any name."""

Completer = Callable[..., Iterable[str]]


class FilesEndingIn:
    """Completes a path to folders, and to files that end in one of some suffixes (in anything where there are
    none); in ``NET=FILE`` what stands behind the sign."""

    def __init__(self, suffixes: Sequence[str] = ()) -> None:
        self._suffixes = tuple(suffixes) or ("",)

    def __call__(self, prefix: str, **_: Any) -> Iterator[str]:
        net, sign, typed = prefix.rpartition("=")
        folder, slash, begun = typed.rpartition("/")
        path = Path(f"{folder}{slash}" or ".").expanduser()
        for entry in sorted(path.iterdir()) if path.is_dir() else ():
            hidden = entry.name.startswith(".") and not begun
            if not entry.name.startswith(begun) or hidden:
                continue
            if entry.is_dir():
                yield f"{net}{sign}{folder}{slash}{entry.name}/"
            elif entry.name.endswith(self._suffixes):
                yield f"{net}{sign}{folder}{slash}{entry.name}"


def complete(commands: Collection[str], command: str | None = None) -> int:
    """Tell the shell how its command line can go on, and end the process.

    ``command`` is the one whose line it is; None: the line names one of the ``commands`` first. Raises
    DataError where argcomplete is not installed.
    """
    argcomplete = extra("argcomplete", "completion", "completion")
    words = argcomplete.split_line(os.environ["COMP_LINE"], int(os.environ["COMP_POINT"]))[3]
    start = int(os.environ[ASKED])
    if command is None and len(words) > start:
        command = words[start].replace("_", "-")
        os.environ[ASKED] = str(start + 1)
    if command is None:
        parser = argparse.ArgumentParser()
        parser.add_argument("--version", action="store_true")
        parser.add_argument("command", choices=commands)
    elif command in commands:
        parser = importlib.import_module(f"vggrepro.cli.{command.replace('-', '_')}").parser()
        _choose_completers(parser)
    else:
        parser = argparse.ArgumentParser(add_help=False)
    argcomplete.autocomplete(parser, always_complete_options=False, default_completer=lambda **_: ())
    return 0


def _choose_completers(parser: argparse.ArgumentParser) -> None:
    """Give each argument, those of subcommands too, what completes its values."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                _choose_completers(inner)
        completer = _completer(action)
        if completer is not None:
            action.completer = completer  # type: ignore[attr-defined]


def _completer(action: argparse.Action) -> Completer | None:
    """Names for those arguments that take one of a list, files for those that take files, None for others."""
    if action.dest == "preset":
        from vggrepro.paper.trainings import PRESETS

        return lambda **_: PRESETS
    if action.dest == "program":
        from vggrepro.cli.caffe import ACTIONS, TOOLS

        return lambda **_: [*ACTIONS, *TOOLS]
    if action.dest in SUFFIXES:
        return FilesEndingIn(SUFFIXES[action.dest])
    metavar = action.metavar if isinstance(action.metavar, str) else ""
    takes_files = action.type in (Path, result_file) or "LOG" in metavar or metavar == "ARGUMENT"
    return FilesEndingIn() if takes_files else None
