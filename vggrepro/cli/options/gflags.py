"""Command lines as Caffe's programs take them: the flags of gflags, and those of glog."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import Field, dataclass, field, fields
from typing import Any, TypeVar, get_type_hints

from vggrepro.errors import OptionError, did_you_mean

Value = str | int | bool


@dataclass(frozen=True)
class GlogFlags:
    """What every program has: how messages are logged, and ``--traceback``, which is this package's own."""

    minloglevel: int = 0
    log_dir: str = ""
    traceback: bool = False


T = TypeVar("T", bound=GlogFlags)

IGNORED: dict[str, type] = {
    "alsologtoemail": str,
    "alsologtostderr": bool,
    "colorlogtostderr": bool,
    "drop_log_memory": bool,
    "log_backtrace_at": str,
    "log_link": str,
    "log_prefix": bool,
    "logbuflevel": int,
    "logbufsecs": int,
    "logemaillevel": int,
    "logmailer": str,
    "logtostderr": bool,
    "max_log_size": int,
    "stderrthreshold": int,
    "stop_logging_if_full_disk": bool,
    "symbolize_stacktrace": bool,
    "v": int,
    "vmodule": str,
}
"""Flags of glog that change nothing here: every message goes to stderr anyway."""

REFUSED = ("flagfile", "fromenv", "tryfromenv", "undefok")
"""Flags of gflags that read flags from elsewhere."""

_SWITCHES = dict.fromkeys(("1", "t", "true", "y", "yes"), True)
_SWITCHES |= dict.fromkeys(("0", "f", "false", "n", "no"), False)


def flag(default: Value, help: str) -> Any:
    """A field of a class of flags, with its text for the help."""
    return field(default=default, metadata={"help": help})


def read_flags(kind: type[T], arguments: Iterable[str]) -> tuple[T, list[str]]:
    """The flags of a command line, and its other words in their order.

    ``kind`` is a dataclass whose fields are the flags: their types (text, whole number, switch) and defaults.
    As with gflags a flag has one dash or two, its value follows ``=`` or is the next word, a switch alone is
    true and with ``no`` in front false, ``--`` ends the flags, and of a repeated flag the last one counts.
    Raises OptionError for unknown flags and wrong values.
    """
    types = {**IGNORED, **get_type_hints(kind)}
    values: dict[str, Any] = {}
    words: list[str] = []
    rest = iter(arguments)
    for word in rest:
        if word == "--":
            words += rest
        elif word == "-" or not word.startswith("-"):
            words.append(word)
        else:
            name, value = _read_flag(word, rest, types)
            values[name] = value
    return kind(**{f.name: values[f.name] for f in fields(kind) if f.name in values}), words


def _read_flag(word: str, rest: Iterable[str], types: dict[str, type]) -> tuple[str, Value]:
    name, given, text = word.lstrip("-").partition("=")
    if name in REFUSED:
        raise OptionError(f"-{name}: reading flags from elsewhere is not supported; write them out")
    if name not in types and not given and types.get(name.removeprefix("no")) is bool:
        return name.removeprefix("no"), False
    if name not in types:
        raise OptionError(f"unknown command line flag {name!r}{did_you_mean(name, types)}")
    if types[name] is bool and not given:
        return name, True
    if not given:
        following = next(iter(rest), None)
        if following is None:
            raise OptionError(f"flag '-{name}' is missing its argument")
        text = following
    return name, _value(name, text, types[name])


def _value(name: str, text: str, kind: type) -> Value:
    if kind is bool and text.lower() in _SWITCHES:
        return _SWITCHES[text.lower()]
    if kind is int and re.fullmatch(r"[+-]?[0-9]{1,9}", text):
        return int(text)
    if kind is str:
        return text
    expected = "true or false" if kind is bool else "a whole number"
    raise OptionError(f"illegal value {text!r} specified for flag {name!r}: expected {expected}")


def flags_help(kind: type[GlogFlags]) -> list[tuple[str, str]]:
    """A row for each flag that has a help: its name, and what it does with its default."""
    return [(f"-{f.name}", _told(f)) for f in fields(kind) if "help" in f.metadata]


def _told(told: Field[Any]) -> str:
    text: str = told.metadata["help"]
    return f"{text} (default: {told.default})" if told.default not in ("", False) else text


def wants_help(arguments: Sequence[str]) -> bool:
    """Whether a command line asks for the help only."""
    return any(word in ("-h", "-help", "--help", "-helpshort", "--helpshort") for word in arguments)
