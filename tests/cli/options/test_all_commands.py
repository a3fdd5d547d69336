"""The options of all commands together: an option has one parser, one help and one meaning everywhere."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import MISSING, Field, fields, is_dataclass
from types import ModuleType
from typing import Any

import pytest

from vggrepro.cli.main import COMMANDS
from vggrepro.cli.options.values import result_file
from vggrepro.cli.run import called_as

Subcommands = argparse._SubParsersAction

OTHER_DEFAULTS = {
    "--device": "a training's default is in its solver",
    "--mean": "conversion only notes it; a training's default is in its data",
    "--smallest": "section 3.1 trains with a fixed scale first; a picture of the draws shows the range",
    "--scales": "each command has images, or a network, of its own size",
}
"""Options whose help may differ in the default that its last parentheses name, and why."""

OTHER_HELP = {
    "--batch": "a training's batch is part of its result, an evaluation's is not",
    "--demo": "each command uses what it needs of the embedded miniature",
    "--flip": "training mirrors half of the crops, evaluation looks at both images",
    "--quiet": "check_reference leaves out its tables too",
    "--output": "each command writes something else",
    "--outputs": "a conversion's are blobs, those of code for OpenCV 4 what that calls them",
    "--seed": "a training draws more than a sample",
    "--tolerance": "of percentage points, and of a blob's largest magnitude",
    "--weights": "a training begins with layers from several files, an evaluation fuses several nets",
}
"""Options whose help may differ as a whole, and why."""

OTHER_MEANING = {
    "--blob": "features may be of several blobs, a picture is of one",
    "--csv": "an evaluation has one table and its name, a training two, and what their names begin with",
    "--deploy": "convert_caffemodel makes a deploy net of a training net, the others are told a deploy net",
}
"""Options that are two different ones, known by their names for too long to be renamed."""


OPTIONS_ELSEWHERE = {"convert-caffemodel": "vggrepro.cli.conversion"}
"""Where a command's options are that its own module imports late."""


def modules() -> dict[str, ModuleType]:
    return {name: importlib.import_module(f"vggrepro.cli.{name.replace('-', '_')}") for name in COMMANDS}


def parsers() -> dict[str, list[argparse.ArgumentParser]]:
    """The parsers of each command: its own, and those of its subcommands."""
    found = {}
    for command, module in modules().items():
        parser = module.parser()
        inner = [p for a in parser._actions if isinstance(a, Subcommands) for p in a.choices.values()]
        found[command] = [parser, *inner]
    return found


def options(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [a for a in parser._actions if a.dest != "help" and not isinstance(a, Subcommands)]


def places() -> dict[str, dict[str, argparse.Action]]:
    """For each option string its action in each command that has it."""
    found: dict[str, dict[str, argparse.Action]] = defaultdict(dict)
    for command, own in parsers().items():
        for parser in own:
            for action in options(parser):
                if action.option_strings:
                    name = action.option_strings[-1 if action.option_strings[0] == "-o" else 0]
                    found[name][command if parser is own[0] else f"{command} {parser.prog}"] = action
    return found


SHARED = {option: actions for option, actions in places().items() if len(actions) > 1}


def parsing(action: argparse.Action) -> tuple[Any, ...]:
    choices = None if action.choices is None else tuple(action.choices)
    kind = type(action), action.type, choices, action.metavar, action.nargs, action.const
    return (*kind, action.dest, tuple(action.option_strings))


def without_default(text: str | None) -> str:
    return re.sub(r" \(default: .*\)$", "", text or "")


def test_commands_share_options() -> None:
    assert {"--mean", "--device", "--workers", "--exif", "--kernel", "--synsets", "--json"} <= SHARED.keys()


@pytest.mark.parametrize("option", sorted(SHARED.keys() - OTHER_MEANING.keys()))
def test_an_option_is_parsed_in_one_way(option: str) -> None:
    kinds = {command: parsing(action) for command, action in SHARED[option].items()}
    assert len(set(kinds.values())) == 1, kinds


@pytest.mark.parametrize("option", sorted(SHARED.keys() - OTHER_MEANING.keys() - OTHER_HELP.keys()))
def test_an_option_has_one_help(option: str) -> None:
    helps = {command: action.help for command, action in SHARED[option].items()}
    if option in OTHER_DEFAULTS:
        helps = {command: without_default(text) for command, text in helps.items()}
    assert len(set(helps.values())) == 1, helps


@pytest.mark.parametrize("option", sorted({*OTHER_DEFAULTS, *OTHER_HELP, *OTHER_MEANING}))
def test_an_allowance_is_needed(option: str) -> None:
    assert len({action.help for action in SHARED[option].values()}) > 1


def test_no_result_has_the_name_of_a_folder() -> None:
    """``-o m.onnx/`` would write m.onnx: a Path forgets the end of the name."""
    written = {
        option: {action.type for action in actions.values()}
        for option, actions in places().items()
        for action in actions.values()
        if action.metavar and (option in ("--output", "--log") or (action.help or "").startswith("write "))
    }
    assert {"--output", "--json", "--card", "--predictions", "--csv", "--log"} <= written.keys()
    assert all(kinds == {result_file} for kinds in written.values()), written


def leaves(kind: type) -> Iterator[Field[Any]]:
    """The fields of a dataclass, and of the dataclasses that are its fields."""
    names = vars(sys.modules[kind.__module__])
    for field in fields(kind):
        inner = names.get(field.type, field.type)
        if isinstance(inner, type) and is_dataclass(inner):
            yield from leaves(inner)
        else:
            yield field


def read_fields(module: ModuleType) -> list[Field[Any]]:
    kinds = [v for v in vars(module).values() if is_dataclass(v) and v.__module__ == module.__name__]
    return [field for kind in kinds if kind.__name__.endswith("Options") for field in leaves(kind)]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_read_and_has_its_fields_default(command: str) -> None:
    elsewhere = OPTIONS_ELSEWHERE.get(command)
    found = read_fields(importlib.import_module(elsewhere) if elsewhere else modules()[command])
    actions = [action for parser in parsers()[command] for action in options(parser)]
    assert {f.name for f in found} == {action.dest for action in actions}
    for field in found:
        if field.default is not MISSING:
            told = [action.default for action in actions if action.dest == field.name]
            defaults = [tuple(default) if isinstance(default, list) else default for default in told]
            assert set(defaults) == {field.default}, field.name


@pytest.mark.parametrize("text", ["nan,1,2", "1,2", "1,2,3,4", "a,b,c", "1,2,inf", ""])
def test_a_mean_that_is_none_is_refused_everywhere(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(SHARED["--mean"]) == 6
    for command in SHARED["--mean"]:
        if " " in command:
            continue  # it needs its files before its options are looked at
        with pytest.raises(SystemExit, match="2"):
            modules()[command].main([f"--mean={text}"])
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: argument --mean: expected ")


def examples(help_text: str) -> list[str]:
    """The command lines below ``examples:``, each in one."""
    shown = help_text.partition("\nexamples:\n")[2].partition("\n\n")[0]
    return [line.strip() for line in shown.replace("\\\n", " ").splitlines()]


@pytest.mark.parametrize("program", [None, "tools/{}.py"], ids=["console script", "file"])
@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_has_examples_that_can_be_called(command: str, program: str | None) -> None:
    called = program.format(command.replace("-", "_")) if program else f"vggrepro {command}"
    with called_as(called) if program else nullcontext():
        own, *inner = parsers()[command]
    for parser in (own, *inner):
        lines = examples(parser.format_help())
        assert lines
        for line in lines:
            before, found, arguments = line.partition(f"{called} ")
            assert found and before in ("", "mpirun -n 4 ")
            own.parse_args(shlex.split(arguments))
    assert len(examples(own.format_help())) >= 2
