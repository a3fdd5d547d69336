"""A training's course, read from our own log (JSON lines) or from the text that Caffe's tools print."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vggrepro.errors import ParseError
from vggrepro.system.file_names import failure

Points = list[tuple[int, float]]
"""(iteration, value), iterations ascending."""


@dataclass
class Curves:
    """``loss`` is the displayed training loss, ``rate`` the learning rate, ``scores`` each test net's
    outputs by (net, name)."""

    name: str
    loss: Points = field(default_factory=list)
    rate: Points = field(default_factory=list)
    scores: dict[tuple[int, str], Points] = field(default_factory=dict)

    def score(self, net: int, name: str, iteration: int, value: float) -> None:
        _add(self.scores.setdefault((net, name), []), iteration, value)

    def elements(self, net: int, name: str, iteration: int, values: Sequence[float]) -> None:
        """The elements of an output: the first under its name, a further one as ``name[index]``."""
        for index, value in enumerate(values):
            self.score(net, f"{name}[{index}]" if index else name, iteration, float(value))

    def begin(self, iteration: int) -> None:
        """The run starts, or goes on after an interruption, at ``iteration``. Points from there on are of a
        part that was lost, and are dropped."""
        for points in (self.loss, self.rate, *self.scores.values()):
            _cut(points, iteration)


def _add(points: Points, iteration: int, value: float) -> None:
    _cut(points, iteration)
    points.append((iteration, value))


def _cut(points: Points, iteration: int) -> None:
    while points and points[-1][0] >= iteration:
        points.pop()


def read_curves(path: Path, name: str | None = None) -> Curves:
    """Read a log of either kind. Raises ParseError where there is no course of a training in it."""
    try:
        text = path.read_text("utf-8", errors="replace")
    except OSError as error:
        raise ParseError(f"{path}: {failure(error)}") from error
    lines = text.splitlines()
    curves = Curves(path.stem if name is None else name)
    if text.lstrip().startswith("{"):
        _read_journal(path, lines, curves, complete=text.endswith("\n"))
    else:
        _read_caffe(lines, curves)
    if not curves.loss and not curves.scores:
        raise ParseError(f"{path}: no losses and no test scores: neither our log nor Caffe's")
    return curves


def _read_journal(path: Path, lines: Iterable[str], curves: Curves, *, complete: bool) -> None:
    entries = list(lines)
    for number, line in enumerate(entries, 1):
        try:
            _journal_event(json.loads(line), curves)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            if number == len(entries) and not complete:
                return  # what a killed run wrote of its last line
            raise ParseError(f"{path}:{number}: not a line of a training log: {error!r}") from error


def _journal_event(entry: Any, curves: Curves) -> None:
    iteration = int(entry["iteration"])
    if not 0 <= iteration < _MOST:
        raise ValueError(f"iteration {iteration}")
    if entry["event"] == "start":
        curves.begin(iteration)
    elif entry["event"] == "train":
        _add(curves.loss, iteration, float(entry["loss"]))
        _add(curves.rate, iteration, float(entry["rate"]))
    elif entry["event"] == "test":
        for name, value in entry["scores"].items():
            curves.elements(int(entry["net"]), name, iteration, value if isinstance(value, list) else [value])


_MOST = 2**53
"""Iterations below this are exact where they are drawn."""
_ITERATION = r"Iteration (\d{1,15})"
_NUMBER = r"([-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|inf|nan))"
_LOSS = re.compile(rf"{_ITERATION}(?: \([^)]*\))?, loss = {_NUMBER}")
_RATE = re.compile(rf"{_ITERATION}, lr = {_NUMBER}")
_TESTING = re.compile(rf"{_ITERATION}, Testing net(?: \(#(\d+)\))?")
_OUTPUT = re.compile(rf"Test net output #\d+: (\S+) = {_NUMBER}")
_OLD_OUTPUT = re.compile(rf"Test score #(\d+): {_NUMBER}")


def _read_caffe(lines: Iterable[str], curves: Curves) -> None:
    """Caffe's lines, of all its versions: those of 2013 number the outputs of a test net and do not name
    them."""
    test = _Test(curves)
    for line in lines:
        if match := _TESTING.search(line):
            test.end()
            test = _Test(curves, int(match.group(2) or 0), int(match.group(1)))
        elif match := _OUTPUT.search(line):
            test.outputs.setdefault(match.group(1), []).append(float(match.group(2)))
        elif match := _OLD_OUTPUT.search(line):
            test.outputs[f"score {match.group(1)}"] = [float(match.group(2))]
        elif match := _LOSS.search(line):
            _add(curves.loss, int(match.group(1)), float(match.group(2)))
        elif match := _RATE.search(line):
            _add(curves.rate, int(match.group(1)), float(match.group(2)))
    test.end()


@dataclass
class _Test:
    """What a log tells of one test of one net. Of an output with several elements it has a line for each, all
    with the blob's name."""

    curves: Curves
    net: int = 0
    iteration: int = 0
    outputs: dict[str, list[float]] = field(default_factory=dict)

    def end(self) -> None:
        for name, values in self.outputs.items():
            self.curves.elements(self.net, name, self.iteration, values)


def is_accuracy(name: str) -> bool:
    """Whether a test score is one that grows: by its name, as people give them."""
    return "acc" in name.lower() or name.lower().startswith(("score", "top"))
