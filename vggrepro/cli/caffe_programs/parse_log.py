"""parse_log: a training log to two CSV files, with the arguments of Caffe's tools/extra/parse_log.py."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from vggrepro.cli.options.read import read
from vggrepro.cli.run import Parser
from vggrepro.errors import ParseError
from vggrepro.system.atomic import replacing
from vggrepro.training.log_tables import table_csv

Row = dict[str, float]

_STAMP = re.compile(r"[IWEF](\d\d)(\d\d) (\d\d):(\d\d):(\d\d)\.(\d{6}) ")
_ITERATION = re.compile(r"Iteration (\d+)")
_RATE = re.compile(r"lr = ([-+]?\d*\.?\d+(?:[eE][-+]?\d+)?)")
_OUTPUT = re.compile(r"(Train|Test) net output #\d+: (\S+) = (\S+)")


@dataclass(frozen=True)
class LogOptions:
    """The command line."""

    logfile_path: Path
    output_dir: Path
    verbose: bool
    delimiter: str


def main(arguments: Sequence[str]) -> int:
    """Write ``<name of the log>.train`` and ``.test``; one without rows is not written."""
    options = read(LogOptions, parser().parse_args(arguments))
    log = options.logfile_path
    text = log.read_text("utf-8", errors="replace")
    train, test = tables(text.splitlines(), str(log), datetime.fromtimestamp(log.stat().st_ctime).year)
    for kind, rows in (("train", train), ("test", test)):
        _write(options.output_dir / f"{log.name}.{kind}", rows, options)
    return 0


def parser() -> argparse.ArgumentParser:
    """All options of the tool."""
    parser = Parser(prog="parse_log", description="Two tables of a training log: CSV files.")
    parser.add_argument("logfile_path", type=Path, help="the log")
    parser.add_argument("output_dir", type=Path, help="the folder to write to")
    parser.add_argument("--verbose", action="store_true", help="say what is written")
    parser.add_argument("--delimiter", default=",", help="what stands between the columns (default: ,)")
    return parser


class _Table:
    """The rows of one kind of output. A row is complete when it has as many columns as the first one."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._row: Row = {}

    def add(self, iteration: float, seconds: float, rate: float, name: str, value: float) -> None:
        if self._row.get("NumIters") != iteration:
            self.end()
            self._row = {"NumIters": iteration, "Seconds": seconds, "LearningRate": rate}
        self._row[name] = value
        if self.rows and len(self._row) == len(self.rows[0]):
            self.end()

    def end(self) -> None:
        if self._row and (not self.rows or self._row.keys() == self.rows[0].keys()):
            self.rows.append(self._row)
        self._row = {}

    def finished(self) -> list[Row]:
        """All rows. The first one, which comes before any rate is told, has that of the second."""
        self.end()
        if len(self.rows) > 1:
            self.rows[0]["LearningRate"] = self.rows[1]["LearningRate"]
        return self.rows


def tables(lines: Iterable[str], name: str, year: int) -> tuple[list[Row], list[Row]]:
    """The rows of the training net's outputs and of the test nets'. A row's rate is the last one that the log
    told before it. Raises ParseError for a log without a beginning."""
    found = {"Train": _Table(), "Test": _Table()}
    iteration, rate = -1.0, math.nan
    for seconds, line in _timed(lines, name, year):
        if match := _ITERATION.search(line):
            iteration = float(match.group(1))
        if iteration < 0:
            continue
        if match := _RATE.search(line):
            rate = float(match.group(1))
        if match := _OUTPUT.search(line):
            kind, output, value = match.groups()
            found[kind].add(iteration, seconds, rate, output, _number(value))
    return found["Train"].finished(), found["Test"].finished()


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _timed(lines: Iterable[str], name: str, year: int) -> Iterator[tuple[float, str]]:
    """The lines of glog from ``Solving`` on, with the seconds since. glog tells no year: the first is
    ``year``, and another one begins where the months begin anew."""
    start = before = None
    for line in lines:
        match = _STAMP.match(line)
        if match is None or (start is None and "Solving" not in line):
            continue
        month, day, hour, minute, second, micro = map(int, match.groups())
        if before is not None and month < before.month:
            year += 1
        try:
            before = datetime(year, month, day, hour, minute, second, micro)
        except ValueError:
            continue
        start = start or before
        yield (before - start).total_seconds(), line
    if start is None:
        raise ParseError(f"{name}: no line of glog that says Solving: not the log of a training")


def _write(path: Path, rows: list[Row], options: LogOptions) -> None:
    if not rows:
        if options.verbose:
            print(f"Not writing {path}; no lines to write")
        return
    with replacing(path) as file:
        file.write(table_csv(rows, options.delimiter, end="\r\n").encode())
    if options.verbose:
        print(f"Wrote {path}")
