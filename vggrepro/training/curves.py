"""A training's course, read from our own log (JSON lines) or from the text that Caffe's tools print."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from vggrepro.errors import ParseError
from vggrepro.system.file_names import failure
from vggrepro.system.json_text import parsed_json

Points = list[tuple[int, float]]
"""(iteration, value), iterations ascending."""


@dataclass
class Curves:
    """``loss`` is the displayed training loss, ``rate`` the learning rate, ``outputs`` the training net's
    outputs by name, ``scores`` each test net's outputs by (net, name). ``shown`` and ``tested`` are the
    seconds since the run began, by the log's own times, of the lines about training and about tests."""

    name: str
    loss: Points = field(default_factory=list)
    rate: Points = field(default_factory=list)
    outputs: dict[str, Points] = field(default_factory=dict)
    scores: dict[tuple[int, str], Points] = field(default_factory=dict)
    shown: Points = field(default_factory=list)
    tested: Points = field(default_factory=list)

    def output(self, name: str, iteration: int, values: Sequence[float]) -> None:
        """The elements of an output of the training net, named as those of :meth:`score`."""
        for key, value in _elements(name, values):
            _add(self.outputs.setdefault(key, []), iteration, value)

    def score(self, net: int, name: str, iteration: int, values: Sequence[float]) -> None:
        """The elements of a test net's output: the first under its name, a further one as ``name[index]``."""
        for key, value in _elements(name, values):
            _add(self.scores.setdefault((net, key), []), iteration, value)

    def begin(self, iteration: int) -> None:
        """The run starts, or goes on after an interruption, at ``iteration``. Points from there on are of a
        part that was lost, and are dropped."""
        single = (self.loss, self.rate, self.shown, self.tested)
        for points in (*single, *self.outputs.values(), *self.scores.values()):
            _cut(points, iteration)


def _elements(name: str, values: Sequence[float]) -> Iterator[tuple[str, float]]:
    return ((f"{name}[{index}]" if index else name, float(value)) for index, value in enumerate(values))


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
    began = None
    for number, line in enumerate(entries, 1):
        try:
            entry = parsed_json(line)
            time = float(entry.get("time", math.nan))
            began = time if began is None else began
            _journal_event(entry, round(time - began, 3), curves)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            if number == len(entries) and not complete:
                return  # what a killed run wrote of its last line
            raise ParseError(f"{path}:{number}: not a line of a training log: {error!r}") from error


def _journal_event(entry: Any, seconds: float, curves: Curves) -> None:
    iteration = int(entry["iteration"])
    if not 0 <= iteration < _MOST:
        raise ValueError(f"iteration {iteration}")
    if entry["event"] == "start":
        curves.begin(iteration)
    elif entry["event"] == "train":
        _add(curves.shown, iteration, seconds)
        _add(curves.loss, iteration, float(entry["loss"]))
        _add(curves.rate, iteration, float(entry["rate"]))
        for name, value in entry.get("outputs", {}).items():
            curves.output(name, iteration, _listed(value))
    elif entry["event"] == "test":
        _add(curves.tested, iteration, seconds)
        for name, value in entry["scores"].items():
            curves.score(int(entry["net"]), name, iteration, _listed(value))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


_MOST = 2**53
"""Iterations below this are exact where they are drawn."""
_ITERATION = r"Iteration (\d{1,15})"
_NUMBER = r"([-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|inf|nan))"
_LOSS = re.compile(rf"{_ITERATION}(?: \([^)]*\))?, loss = {_NUMBER}")
_RATE = re.compile(rf"{_ITERATION}, lr = {_NUMBER}")
_TESTING = re.compile(rf"{_ITERATION}, Testing net(?: \(#(\d+)\))?")
_OUTPUT = re.compile(rf"(Train|Test) net output #\d+: (\S+) = {_NUMBER}")
_OLD_OUTPUT = re.compile(rf"Test score #(\d+): {_NUMBER}")
_TIME = re.compile(r"[IWEF](\d{4})?(\d\d)(\d\d) (\d\d):(\d\d):(\d\d)(\.\d{1,6})")


def _read_caffe(lines: Iterable[str], curves: Curves) -> None:
    """Caffe's lines, of all its versions: those of 2013 number the outputs of a test net and do not name
    them."""
    clock, block = _Clock(), _Block(curves)
    for line in lines:
        seconds = clock.seconds(line)
        if match := _TESTING.search(line):
            block.end()
            block = _Block(curves, int(match.group(1)), int(match.group(2) or 0))
            _add(curves.tested, block.iteration, seconds)
        elif match := _OUTPUT.search(line):
            block.add(match.group(1), match.group(2), float(match.group(3)))
        elif match := _OLD_OUTPUT.search(line):
            block.add("Test", f"score {match.group(1)}", float(match.group(2)))
        elif match := _LOSS.search(line):
            block.end()
            block = _Block(curves, int(match.group(1)))
            _add(curves.shown, block.iteration, seconds)
            _add(curves.loss, block.iteration, float(match.group(2)))
        elif match := _RATE.search(line):
            _add(curves.rate, int(match.group(1)), float(match.group(2)))
    block.end()


class _Clock:
    """Seconds since the log's first line that says ``Solving``, or since its first line with a time. Most
    versions of glog tell no year: another one begins where the months begin anew."""

    def __init__(self) -> None:
        self._year, self._month = 2000, 0
        self._began: datetime | None = None
        self._solving = False
        self._now = math.nan

    def seconds(self, line: str) -> float:
        """Those of a line; of one without a time those of the line before it."""
        match = _TIME.match(line)
        if match is None:
            return self._now
        year, *rest = match.groups()
        month, day, hour, minute, second = map(int, rest[:-1])
        self._year = int(year) if year else self._year + (month < self._month)
        self._month = month
        try:
            time = datetime(self._year, month, day, hour, minute, second) + timedelta(seconds=float(rest[-1]))
        except ValueError:
            return self._now
        if self._began is None or ("Solving" in line and not self._solving):
            self._began, self._solving = time, "Solving" in line
        self._now = (time - self._began).total_seconds()
        return self._now


@dataclass
class _Block:
    """What a log tells of the training net at one iteration, or of one test of one net. Of an output with
    several elements it has a line for each, all with the blob's name."""

    curves: Curves
    iteration: int = 0
    net: int = 0
    found: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def add(self, kind: str, name: str, value: float) -> None:
        self.found.setdefault((kind, name), []).append(value)

    def end(self) -> None:
        for (kind, name), values in self.found.items():
            if kind == "Train":
                self.curves.output(name, self.iteration, values)
            else:
                self.curves.score(self.net, name, self.iteration, values)


def is_accuracy(name: str) -> bool:
    """Whether a test score is one that grows: by its name, as people give them."""
    return "acc" in name.lower() or name.lower().startswith(("score", "top"))
