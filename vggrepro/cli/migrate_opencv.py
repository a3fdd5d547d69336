"""migrate_opencv: from ``readNetFromCaffe``, which OpenCV 5 no longer has, to ``readNetFromONNX``."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vggrepro.cli import convert_caffemodel
from vggrepro.cli.options.net import NetOptions, add_net_options
from vggrepro.cli.options.quiet import add_quiet_option
from vggrepro.cli.options.read import read
from vggrepro.cli.options.results import add_output_option, check_outputs
from vggrepro.cli.options.values import amount, names
from vggrepro.cli.run import NOTHING_WRITTEN, Parser, run
from vggrepro.data.opencv import is_opencv5, opencv
from vggrepro.errors import OptionError, did_you_mean
from vggrepro.paper.known_models import channels, factor, pixel
from vggrepro.system.notes import note, quieted
from vggrepro.system.terminal import printable

if TYPE_CHECKING:
    from vggrepro.cli.opencv_lines import ImageArguments
    from vggrepro.cli.recognised import Recognised
    from vggrepro.net import Net

TARGET = "opencv5"

_EXAMPLES = [
    "deploy.prototxt weights.caffemodel -o model.onnx",
    "deploy.prototxt weights.caffemodel -o model.onnx --opencv4 ~/opencv4/bin/python",
]


@dataclass(frozen=True)
class MigrationOptions:
    """The command line."""

    net: NetOptions
    caffemodel: str
    output: Path
    outputs: tuple[str, ...] | None
    opencv4: str | None
    tolerance: float
    quiet: bool
    traceback: bool


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 converted, 1 an answer is not the reference's (nothing is written), 2 an error."""
    options = read(MigrationOptions, parser().parse_args(argv))
    return run(
        lambda: _migrate(options), traceback=options.traceback, quiet=options.quiet, kept=NOTHING_WRITTEN
    )


def parser() -> argparse.ArgumentParser:
    """All options of the command."""
    parser = Parser(
        command="migrate_opencv",
        examples=_EXAMPLES,
        description="Convert a Caffe model for OpenCV 5, verify it there, and print the lines of Python and"
        " C++ that stand in place of readNetFromCaffe.",
    )
    parser.add_argument("prototxt", help="the net: V0, V1 or current format")
    parser.add_argument("caffemodel", help="its weights: .caffemodel or Caffe's .h5")
    add_output_option(parser, "the ONNX model to write")
    add_net_options(parser)
    parser.add_argument(
        "--outputs",
        type=names,
        metavar="BLOB,...",
        help="what the code's forward() names, layers in the middle of the net too (default: what the net"
        " returns, in the order of getUnconnectedOutLayersNames)",
    )
    parser.add_argument(
        "--opencv4",
        metavar="PYTHON",
        help="an interpreter with OpenCV 4 and NumPy, whose readNetFromCaffe is compared too (default: this"
        " one, if its OpenCV is 4)",
    )
    parser.add_argument(
        "--tolerance",
        type=amount,
        default=1e-4,
        metavar="T",
        help="largest difference, relative to each output's largest magnitude (default: 1e-4)",
    )
    add_quiet_option(parser)
    return parser


def _migrate(options: MigrationOptions) -> int:
    from vggrepro.cli.net_to_convert import require_weights
    from vggrepro.cli.opencv_lines import cpp_lines, python_lines
    from vggrepro.cli.recognised import recognise
    from vggrepro.cli.written_model import note_size
    from vggrepro.net.transforms.opencv_names import with_opencv_names

    check_outputs(options.output, options=options)
    known = recognise(options.net.prototxt, options.caffemodel)
    known.note_weights()
    image = _published_arguments(known)
    net = options.net.load(options.caffemodel, fill=False)
    require_weights(net, options.caffemodel)
    net = with_opencv_names(net)
    outputs = _outputs(options, net)
    newer = is_opencv5(opencv())
    python = options.opencv4 or (None if newer else sys.executable)
    if python is not None and not _importer_agrees(options, net, outputs, python):
        return 1
    with warnings.catch_warnings(), quieted():
        warnings.simplefilter("ignore")  # what there is to say of the files was said when they were loaded
        code = convert_caffemodel.main(_arguments(options, "opencv" if newer else "onnxruntime"))
    if code:
        return code
    note_size(options.output)
    if not newer:
        note(f"note: OpenCV {opencv().__version__} is installed: the file was not run in OpenCV 5")
    print("\n".join(["", "Python:", "", *_indented(python_lines(net, outputs, str(options.output), image))]))
    print("\n".join(["", "C++:", "", *_indented(cpp_lines(net, outputs, str(options.output), image))]))
    return 0


def _outputs(options: MigrationOptions, net: Net) -> Sequence[str]:
    """What the model returns, by OpenCV's names. Raises OptionError for a name that it does not know."""
    from vggrepro.net.transforms.opencv_names import opencv_outputs

    if options.outputs is None:
        return opencv_outputs(net)
    for name in options.outputs:
        if name not in net.blobs:
            there = f"expected some of {', '.join(net.blobs)}{did_you_mean(name, net.blobs)}"
            raise OptionError(f"--outputs: OpenCV 4 has no layer {name!r} in {options.net.prototxt}; {there}")
    return options.outputs


def _published_arguments(known: Recognised) -> ImageArguments | None:
    """What ``blobFromImage`` is told for a published model; None for other ones."""
    from vggrepro.cli.opencv_lines import ImageArguments

    for model in known.models:
        mean, scale, order = pixel(model.mean), factor(model.scale), channels(model.channel_order)
        if mean is not None and scale is not None and order is not None:
            return ImageArguments(mean, scale, order)
    return None


def _importer_agrees(options: MigrationOptions, net: Net, outputs: Sequence[str], python: str) -> bool:
    """Whether OpenCV 4 gives what the reference gives, for the same files; tells how far off it is."""
    from vggrepro.cli.conversion_check import ConversionCheck
    from vggrepro.cli.net_to_convert import Conversion
    from vggrepro.graph.forward import build_deployed
    from vggrepro.graph.targets.convert import Deployment
    from vggrepro.verify.runtimes.caffe_importer import check_importer, importer

    conversion = Conversion(net, net, fully_conv=False, fixed=True)
    examples = ConversionCheck(conversion).noises(build_deployed(net, Deployment(TARGET)))
    files = Path(options.net.prototxt), Path(options.caffemodel)
    checks = check_importer(*files, importer(python), examples, options.tolerance, outputs)
    for check in checks:
        if check.passed:
            worst = max((d.relative for d in check.differences), default=0)
            who = f"{check.runtime} {check.version} ({check.example})"
            print(printable(f"{who}: worst {worst:.1e} of {options.tolerance:g}"))
        else:
            what = f"{options.output}: not written: {check.complaint()}"
            print(printable(f"error: {what}; convert_caffemodel does without it"), file=sys.stderr)
    return all(check.passed for check in checks)


def _arguments(options: MigrationOptions, runtime: str) -> list[str]:
    """The command line of the conversion."""
    net = options.net
    arguments = [net.prototxt, options.caffemodel, "-o", str(options.output), "--target", TARGET]
    arguments += ["--verify-with", runtime, "--phase", net.phase, "--level", str(net.level)]
    arguments += ["--tolerance", str(options.tolerance), "--opencv-names"]
    arguments += ["--outputs", ",".join(options.outputs)] if options.outputs is not None else []
    return [*arguments, *(word for stage in net.stage for word in ("--stage", stage)), *net.forks.arguments()]


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" for line in lines]
