"""The console script ``vggrepro``: one name for all commands."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from vggrepro.cli.completion import ASKED, complete
from vggrepro.cli.run import FAILED, called_as, run
from vggrepro.errors import did_you_mean
from vggrepro.system.ranks import end_all
from vggrepro.system.streams import lasting_streams
from vggrepro.system.terminal import printable
from vggrepro.text_table import aligned
from vggrepro.version import __version__

COMMANDS = {
    "convert-caffemodel": "a Caffe model to ONNX, verified against the float64 reference",
    "migrate-opencv": "from OpenCV's readNetFromCaffe to readNetFromONNX",
    "to-caffe": "an ONNX model of plain operators to a prototxt and a caffemodel",
    "upgrade-prototxt": "a prototxt, solver or caffemodel to Caffe's current format",
    "inspect-net": "layers, shapes, parameters, multiply-accumulates, receptive fields",
    "record-reference": "what a net answers today, stored for check-reference",
    "check-reference": "stored reference outputs against the converted model",
    "eval-ilsvrc": "top-1 and top-5 error by the paper's protocols",
    "classify": "the five likeliest classes of images",
    "extract-features": "any blob, or the descriptor of the paper's appendix B",
    "train-ilsvrc": "the paper's training",
    "plot-training": "curves of loss and accuracy from a training log",
    "show": "pictures of views, training crops, filters, feature maps, nets",
    "compute-statistics": "mean RGB and colour covariance of a training set",
    "run-pycaffe": "a script that was written for Caffe's Python module",
    "caffe": "the command of Caffe and its tools, with their own flags: train, test, time, ...",
}


RANKED = ("eval-ilsvrc", "extract-features", "train-ilsvrc")
"""The commands that MPI's ranks may run together."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``vggrepro COMMAND ...``. Exit codes: 0 done, 1 a check failed, 2 an error, 130 and 143 stopped by
    SIGINT and SIGTERM."""
    if argv is None and ASKED in os.environ:
        return _complete()
    arguments = list(sys.argv[1:] if argv is None else argv)
    with lasting_streams():
        if not arguments or arguments[0] in ("-h", "--help"):
            print(_usage())
            return 0 if arguments else FAILED
        if arguments[0] in ("-V", "--version"):
            print(f"vggrepro {__version__}")
            return 0
        command = arguments[0].replace("_", "-")  # the tools' own spelling will do too
        if command not in COMMANDS:
            there = f"there are {', '.join(COMMANDS)}{did_you_mean(command, COMMANDS, beginnings=True)}"
            print(printable(f"error: no command {arguments[0]!r}; {there}"), file=sys.stderr)
            return FAILED
        code = run(lambda: _call(command, arguments[1:]), traceback="--traceback" in arguments)
        if code >= FAILED and command in RANKED:
            end_all(code)  # it failed before it was a rank, and the others wait for it to become one
        return code


def tool(path: str) -> NoReturn:
    """Run the command that ``tools/*.py`` at ``path`` is called after, and exit with its code. Its help calls
    it as the user did."""
    if ASKED in os.environ:
        sys.exit(_complete(Path(path).stem.replace("_", "-")))
    with called_as(sys.argv[0]):
        sys.exit(main([Path(path).stem, *sys.argv[1:]]))


def _complete(command: str | None = None) -> int:
    """Answer a shell that asks how a command line can go on. A process that gets here ends in it."""
    return run(lambda: complete(COMMANDS, command))


def _call(command: str, arguments: Sequence[str]) -> int:
    module = importlib.import_module(f"vggrepro.cli.{command.replace('-', '_')}")
    return int(module.main(arguments))


def _usage() -> str:
    lines = [f"  {line}" for line in aligned(list(COMMANDS.items()))]
    usage = "usage: vggrepro COMMAND ... (--help after a command tells its options; --version)"
    return "\n".join([usage, "", *lines])
