"""The console script ``vggrepro``: one name for all commands."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from vggrepro.text_table import aligned

COMMANDS = {
    "convert-caffemodel": "a Caffe model to ONNX, verified against the float64 reference",
    "upgrade-prototxt": "a prototxt, solver or caffemodel to Caffe's current format",
    "inspect-net": "layers, shapes, parameters, multiply-accumulates, receptive fields",
    "check-reference": "stored reference outputs against the converted model",
    "eval-ilsvrc": "top-1 and top-5 error by the paper's protocols",
    "classify": "the five likeliest classes of images",
    "extract-features": "any blob, or the descriptor of the paper's appendix B",
    "train-ilsvrc": "the paper's training",
    "plot-training": "curves of loss and accuracy from a training log",
    "compute-statistics": "mean RGB and colour covariance of a training set",
    "run-pycaffe": "a script that was written for Caffe's Python module",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``vggrepro COMMAND ...``. Exit codes: 0 done, 1 a check failed, 2 an error."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0 if arguments else 2
    command = arguments[0].replace("_", "-")  # the tools' own spelling will do too
    if command not in COMMANDS:
        print(f"error: no command {arguments[0]!r}; there are {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    module = importlib.import_module(f"vggrepro.cli.{command.replace('-', '_')}")
    return int(module.main(arguments[1:]))


def _usage() -> str:
    lines = [f"  {line}" for line in aligned(list(COMMANDS.items()))]
    return "\n".join(["usage: vggrepro COMMAND ... (--help after a command tells its options)", "", *lines])
