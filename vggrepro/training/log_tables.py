"""A training's course as two tables, of training and of tests, in the columns of Caffe's parse_log."""

from __future__ import annotations

import csv
import io
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from pathlib import Path

from vggrepro.system.atomic import replacing_paths, writing
from vggrepro.training.curves import Curves, Points

Row = Mapping[str, float]
"""One line of a table: its values by column."""

HEAD = ("NumIters", "Seconds", "LearningRate")
"""The first columns: iteration, seconds since the run began, learning rate of the iteration."""


def rows_of_training(curves: Curves) -> list[Row]:
    """A row for each iteration that was displayed, with the outputs of the training net. The displayed loss
    is the column ``loss`` where no output is called so."""
    outputs = {name: dict(points) for name, points in curves.outputs.items()}
    outputs["loss"] = dict(curves.loss) | outputs.get("loss", {})
    return _rows(curves, curves.shown, outputs)


def rows_of_tests(curves: Curves) -> list[Row]:
    """A row for each iteration at which nets were tested, with their outputs; those of a second net have its
    number behind their names: ``accuracy (#1)``."""
    outputs = {
        f"{name} (#{net})" if net else name: dict(points) for (net, name), points in curves.scores.items()
    }
    return _rows(curves, curves.tested, outputs)


def _rows(curves: Curves, times: Points, outputs: Mapping[str, Mapping[int, float]]) -> list[Row]:
    rates = [iteration for iteration, _ in curves.rate]
    rows: list[Row] = []
    for iteration, seconds in times:
        place = max(bisect_right(rates, iteration) - 1, 0)  # a rate holds until another one is told
        rate = curves.rate[place][1] if rates else math.nan
        values = {name: points.get(iteration, math.nan) for name, points in outputs.items()}
        rows.append({**dict(zip(HEAD, (iteration, seconds, rate), strict=True)), **values})
    return rows


def table_csv(rows: Sequence[Row], delimiter: str = ",", end: str = "\n") -> str:
    """Rows of the same columns as CSV, with a line of the columns' names; nothing without rows. What is not
    known is ``nan``; each line ends in ``end``."""
    text = io.StringIO(newline="")
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter, lineterminator=end)
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue()


def table_paths(prefix: Path) -> tuple[Path, Path]:
    """The files of :func:`write_tables`: ``PREFIX.train`` and ``PREFIX.test``, as parse_log names them."""
    return Path(f"{prefix}.train"), Path(f"{prefix}.test")


def write_tables(curves: Curves, prefix: Path) -> None:
    """Write both tables, or neither; one without rows has a line of names alone. Raises
    OSError."""
    paths = table_paths(prefix)
    texts = [table_csv(rows) for rows in (rows_of_training(curves), rows_of_tests(curves))]
    with replacing_paths(*paths) as temporaries:
        for path, temporary, text in zip(paths, temporaries, texts, strict=True):
            with writing(temporary, path) as file:
                file.write((text or ",".join(HEAD) + "\n").encode("utf-8", "backslashreplace"))
