"""plot_training: curves of loss and accuracy from training logs, ours and Caffe's, as pictures and tables."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from vggrepro.cli.options.read import read
from vggrepro.cli.options.refuse import refuse_without
from vggrepro.cli.options.results import add_output_option, check_outputs
from vggrepro.cli.options.values import result_file
from vggrepro.cli.run import Parser, run
from vggrepro.errors import DataError, OptionError
from vggrepro.system.atomic import replacing_path
from vggrepro.system.extras import extra
from vggrepro.system.terminal import escaped, printable
from vggrepro.training.curves import Curves, Points, is_accuracy, read_curves
from vggrepro.training.log_tables import table_paths, write_tables

FORMATS = (".png", ".svg", ".pdf")
_LARGEST = 200
"""Inches of a picture's side, at 150 pixels each."""


_EXAMPLES = (
    "run.jsonl -o curves.png",
    "ours=run.jsonl theirs=caffe.log -o both.svg --error",
    "caffe.log --csv caffe",
)


@dataclass(frozen=True)
class PlotOptions:
    """The command line."""

    logs: tuple[str, ...]
    traceback: bool
    output: Path | None = None
    csv: Path | None = None
    title: str | None = None
    error: bool = False
    size: str = "9x4"


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 2 an error."""
    options = read(PlotOptions, parser().parse_args(argv))
    return run(lambda: _results(options), traceback=options.traceback)


def parser() -> argparse.ArgumentParser:
    """All options of the command."""
    parser = Parser(
        command="plot_training",
        examples=_EXAMPLES,
        description="Plot training loss, test loss and accuracy by iteration (needs the extra plot), or write"
        " them as tables.",
    )
    parser.add_argument(
        "logs",
        nargs="+",
        metavar="[NAME=]LOG",
        help="logs of train_ilsvrc (.jsonl), or what Caffe printed; drawn into one another",
    )
    add_output_option(parser, f"the picture to write, {', '.join(FORMATS)}", required=False)
    parser.add_argument(
        "--csv",
        type=result_file,
        metavar="PREFIX",
        help="write one log as the tables PREFIX.train and PREFIX.test, in the columns of Caffe's parse_log",
    )
    parser.add_argument("--title", metavar="TEXT", help="above the picture (default: none)")
    parser.add_argument(
        "--error", action="store_true", help="plot 100 (1 - accuracy), the error in percent, as the paper"
    )
    parser.add_argument("--size", default=PlotOptions.size, metavar="WxH", help="in inches (default: 9x4)")
    return parser


def _results(options: PlotOptions) -> int:
    """Write what was asked for."""
    _check(options)
    curves = [_read(log) for log in options.logs]
    if options.output is not None:
        _plot(curves, options, options.output)
    if options.csv is not None:
        write_tables(curves[0], options.csv)
        print(printable(f"{', '.join(map(str, table_paths(options.csv)))}: {curves[0].name}"))
    return 0


def _check(options: PlotOptions) -> None:
    """Raise OptionError, DataError or OSError for results that cannot be written."""
    if options.output is None and options.csv is None:
        raise OptionError("nothing to write: expected --output FILE or --csv PREFIX")
    if options.output is None:
        refuse_without("--output", options, "title", "error", "size")
    elif options.output.suffix not in FORMATS:
        raise DataError(f"{options.output}: expected one of {', '.join(FORMATS)}")
    if options.csv is not None and len(options.logs) > 1:
        raise OptionError(f"--csv {options.csv}: {len(options.logs)} logs, expected one")
    tables = table_paths(options.csv) if options.csv is not None else ()
    check_outputs(options.output, *tables, options=replace(options, csv=None))


def _plot(curves: Sequence[Curves], options: PlotOptions, output: Path) -> None:
    matplotlib = extra("matplotlib", "plot", "plotting")
    matplotlib.use("agg")
    pyplot = extra("matplotlib.pyplot", "plot", "plotting")
    figure, (left, right) = pyplot.subplots(1, 2, figsize=_size(options.size), layout="constrained")
    colours = pyplot.rcParams["axes.prop_cycle"].by_key()["color"]
    for index, curve in enumerate(curves):
        colour = colours[index % len(colours)]
        _draw_losses(left, curve, colour)
        _draw_accuracies(right, curve, colour, as_error=options.error)
    _finish(left, "loss")
    _finish(right, "error in %" if options.error else "accuracy")
    if options.title:
        figure.suptitle(_plain(options.title))
    with replacing_path(output) as temporary:
        pyplot.savefig(temporary, format=output.suffix[1:], dpi=150)
    pyplot.close(figure)
    print(printable(f"{output}: {', '.join(curve.name for curve in curves)}"))


def _plain(text: str) -> str:
    """A text that is drawn as it is: control characters and bytes that are no UTF-8 are escapes, and a dollar
    begins no formula."""
    return escaped(text).replace("$", r"\$")


def _read(log: str) -> Curves:
    """``NAME=LOG``, or ``LOG`` where such a file exists."""
    name, separator, path = log.partition("=")
    if separator and not Path(log).exists():
        return read_curves(Path(path), name)
    return read_curves(Path(log))


def _size(text: str) -> tuple[float, float]:
    """``9x4``: width and height in inches. Raises DataError for anything else."""
    try:
        width, height = map(float, text.split("x"))
    except ValueError:
        width = height = 0.0
    if not (0 < width <= _LARGEST and 0 < height <= _LARGEST):
        raise DataError(f"--size {text}: expected WxH, as 9x4, at most {_LARGEST} inches each")
    return width, height


def _draw_losses(axes: Any, curve: Curves, colour: str) -> None:
    """The training loss, the test losses dashed, and dots where the rate was lowered."""
    if curve.loss:
        axes.plot(*_columns(curve.loss), color=colour, linewidth=1, label=_plain(curve.name))
    for (net, name), points in curve.scores.items():
        if not is_accuracy(name):
            label = f"{curve.name}: test {name}" + (f" ({net})" if net else "")
            axes.plot(*_columns(points), color=colour, linestyle="--", linewidth=1, label=_plain(label))
    for iteration in _drops(curve.rate):
        axes.axvline(iteration, color=colour, linestyle=":", linewidth=0.8)


def _draw_accuracies(axes: Any, curve: Curves, colour: str, *, as_error: bool) -> None:
    styles = ("-", "--", "-.", ":")
    shown = [(key, points) for key, points in curve.scores.items() if is_accuracy(key[1])]
    for index, ((net, name), points) in enumerate(shown):
        label = curve.name if len(shown) == 1 else f"{curve.name}: {name}" + (f" ({net})" if net else "")
        iterations, values = _columns(points)
        if as_error:
            values = [100 * (1 - value) for value in values]
        look = {"color": colour, "linestyle": styles[index % 4], "linewidth": 1.2}
        axes.plot(iterations, values, label=_plain(label), **look)
    for iteration in _drops(curve.rate):
        axes.axvline(iteration, color=colour, linestyle=":", linewidth=0.8)


def _drops(rate: Points) -> list[int]:
    """Iterations at which the rate fell to less than half of what it was: steps, not slopes."""
    return [later[0] for earlier, later in pairwise(rate) if later[1] < earlier[1] / 2]


def _columns(points: Points) -> tuple[list[int], list[float]]:
    return [iteration for iteration, _ in points], [value for _, value in points]


def _finish(axes: Any, label: str) -> None:
    axes.set_xlabel("iteration")
    axes.set_ylabel(label)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize="small", frameon=False)
