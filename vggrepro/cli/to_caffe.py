"""to_caffe: an ONNX model of plain operators to a prototxt and a caffemodel, verified before they are
written."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vggrepro.cli.options.fork_options import add_input_shape_option, parse_shapes
from vggrepro.cli.options.quiet import add_quiet_option
from vggrepro.cli.options.read import read
from vggrepro.cli.options.results import add_output_option, check_outputs
from vggrepro.cli.options.values import amount
from vggrepro.cli.run import NOTHING_WRITTEN, Parser, called, run
from vggrepro.system.notes import next_step
from vggrepro.system.terminal import printable

ENDINGS = (".prototxt", ".caffemodel")

_EXAMPLES = ["model.onnx -o model", "model.onnx -o model --input-shape data=1,3,224,224"]


@dataclass(frozen=True)
class ToCaffeOptions:
    """The command line."""

    model: Path
    output: Path
    input_shape: tuple[str, ...]
    tolerance: float
    quiet: bool
    traceback: bool


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 written, 1 the net computes something else (nothing is written), 2 an error."""
    options = read(ToCaffeOptions, parser().parse_args(argv))
    return run(
        lambda: _write(options), traceback=options.traceback, quiet=options.quiet, kept=NOTHING_WRITTEN
    )


def parser() -> argparse.ArgumentParser:
    """All options of the command."""
    parser = Parser(command="to_caffe", examples=_EXAMPLES, description="Write an ONNX model as a Caffe net.")
    parser.add_argument("model", type=Path, help="the ONNX model")
    add_output_option(
        parser, "prefix of the two files, FILE.prototxt and FILE.caffemodel; or the name of one of them"
    )
    add_input_shape_option(parser)
    parser.add_argument(
        "--tolerance",
        type=amount,
        default=1e-4,
        metavar="T",
        help="largest difference of an output, relative to its largest magnitude (default: 1e-4)",
    )
    add_quiet_option(parser)
    return parser


def _write(options: ToCaffeOptions) -> int:
    from vggrepro.caffe.text import format_message, parse_net
    from vggrepro.graph.to_caffe.onnx_to_caffe import read_onnx, to_caffe
    from vggrepro.net.load import build_net
    from vggrepro.net.save import save_net
    from vggrepro.verify.written_net import compare_with_model

    prefix = options.output.with_suffix("") if options.output.suffix in ENDINGS else options.output
    prototxt, caffemodel = (Path(f"{prefix}{ending}") for ending in ENDINGS)
    check_outputs(prototxt, caffemodel, options=replace(options, output=prefix))
    shapes = parse_shapes(options.input_shape, "--input-shape")
    message, blobs = to_caffe(read_onnx(options.model), shapes)
    text = format_message(message)
    net = build_net(parse_net(text, str(prototxt)), "TEST")
    net = net.with_params(
        {
            use.key: array
            for net_layer in net.layers
            if net_layer.name in blobs
            for use, array in zip(net_layer.params, blobs[net_layer.name], strict=True)
        }
    )
    differences = compare_with_model(options.model, net, options.tolerance)
    for failed in [d for d in differences if not d.passed]:
        off = f"FAILED: output {failed.blob!r} is off by {failed.relative:.2e} of its magnitude"
        print(printable(off), file=sys.stderr)
        return 1
    save_net(net, text, prototxt, caffemodel)
    worst = max(differences, key=lambda d: d.relative)
    print(printable(f"verified: worst {worst.relative:.2g} of {options.tolerance:g} at output {worst.blob}"))
    print(printable(f"{prototxt}, {caffemodel}: {len(message.layer)} layers"))
    files = shlex.join([str(prototxt), str(caffemodel)])
    next_step(
        f"{called('convert-caffemodel')} {files} -o back.onnx --verify; Caffe reads the files as they are"
    )
    return 0
