"""convert_caffemodel: a Caffe model to one ONNX file, verified if asked."""

from __future__ import annotations

import argparse
import errno
import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vggrepro.caffe.text import is_text
from vggrepro.cli.options.device import add_device_option
from vggrepro.cli.options.mean import (
    MeanOption,
    add_channel_order_option,
    add_mean_option,
    hint_at_order,
    pixel_alone,
)
from vggrepro.cli.options.net import NetOptions, add_net_options
from vggrepro.cli.options.read import read
from vggrepro.cli.options.refuse import refuse_without
from vggrepro.cli.options.results import add_json_option, add_output_option, check_outputs
from vggrepro.cli.options.values import amount
from vggrepro.cli.run import NOTHING_WRITTEN, Parser, run
from vggrepro.errors import NetError, OptionError, WeightsError
from vggrepro.graph.forward import build_forward
from vggrepro.net import Net
from vggrepro.net.requirements import layers_without_weights
from vggrepro.net.transforms.deploy import judges_predictions, to_deploy
from vggrepro.net.transforms.fold_batchnorm import fold_batchnorm
from vggrepro.net.transforms.fully_convolutional import fully_convolutional
from vggrepro.system.atomic import write_json
from vggrepro.system.terminal import printable

if TYPE_CHECKING:
    from vggrepro.graph.model import Graph
    from vggrepro.runtime.session import Session

LARGER = (33, 51)
"""What --verify adds to height and width of images for --fully-conv, in pixels."""

OTHER_FORMATS = (
    *(".pb", ".pbtxt", ".tflite", ".keras", ".pt", ".pth", ".mlmodel", ".trt", ".engine", ".ort"),
    *(".param", ".bin", ".h5", ".hdf5", ".npy", ".npz", ".json"),
)
"""Names of files that programs take for something else than an ONNX model."""


@dataclass(frozen=True)
class VerifyOptions:
    """How the converted net is compared with its reference."""

    verify: bool = False
    input: Path | None = None
    tolerance: float = 1e-4
    json: Path | None = None
    device: str = "cpu"


@dataclass(frozen=True)
class ConvertOptions:
    """The command line."""

    net: NetOptions
    caffemodel: str
    output: Path
    fully_conv: bool
    deploy: bool
    fold_batchnorm: bool
    allow_missing: bool
    outputs: str | None
    mean: MeanOption | None
    channel_order: str
    verification: VerifyOptions
    traceback: bool


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 converted, 1 verification failed (nothing is written), 2 an error."""
    options = read(ConvertOptions, parser().parse_args(argv))
    return run(lambda: _convert(options), traceback=options.traceback, kept=NOTHING_WRITTEN)


def parser() -> argparse.ArgumentParser:
    """All options of the command."""
    parser = Parser(prog="convert_caffemodel", description="Convert a Caffe model to ONNX.")
    parser.add_argument("prototxt", help="the net: V0, V1 or current format")
    parser.add_argument("caffemodel", help="its weights: .caffemodel or Caffe's .h5")
    add_output_option(parser, "the ONNX model to write")
    add_net_options(parser)
    _add_conversion(parser)
    _add_verification(parser)
    return parser


def _add_conversion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--fully-conv", action="store_true", help="fully connected layers become convolutions: any image size"
    )
    parser.add_argument(
        "--deploy",
        action="store_true",
        help="make a train_val net a deploy net: no data, label, loss, accuracy",
    )
    parser.add_argument(
        "--fold-batchnorm",
        action="store_true",
        help="fold BatchNorm and Scale into the convolution before them",
    )
    parser.add_argument(
        "--allow-missing",
        action="store_true",
        help="layers without weights in the file keep their fillers' values",
    )
    parser.add_argument(
        "--outputs", metavar="BLOB,...", help="blobs to return (default: those that no layer consumes)"
    )
    add_mean_option(parser, "none; it is kept in the model's metadata")
    add_channel_order_option(parser)


def _add_verification(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--verify", action="store_true", help="compare every blob with the float64 reference before writing"
    )
    parser.add_argument(
        "--input",
        type=Path,
        metavar="FILE.npy",
        help="array for --verify to feed (default: normal noise, as strong as the net's images: of standard"
        " deviation 50, times the scale of its data layer; 1 where that saturates its posteriors)",
    )
    parser.add_argument(
        "--tolerance",
        type=amount,
        default=VerifyOptions.tolerance,
        metavar="T",
        help="for --verify, relative to each blob's largest magnitude (default: 1e-4; most nets stay below"
        " 1e-6, but layers that saturate magnify the rounding of large values)",
    )
    add_json_option(parser)
    add_device_option(parser)


def _convert(options: ConvertOptions) -> int:
    verification = options.verification
    if not verification.verify:
        refuse_without("--verify", verification, "input", "tolerance", "json", "device")
    _check_name(options)
    _check_order(options.net.prototxt, options.caffemodel)
    hint_at_order(options.mean)
    check_outputs(options.output, verification.json, options=options)
    net = options.net.load(options.caffemodel, fill=options.allow_missing)
    if not options.allow_missing:
        _require_weights(net, options.caffemodel)
    if options.deploy:
        net = to_deploy(net)
    else:
        _warn_of_training(net, options.net.prototxt)
    converted = fold_batchnorm(net) if options.fold_batchnorm else net
    graph = build_forward(
        converted,
        outputs=options.outputs.split(",") if options.outputs else None,
        fully_convolutional=options.fully_conv,
        extra_metadata=_preprocessing(options),
    )
    graph.check()
    if verification.verify:
        runs = _verified(net, converted, verification, fully_conv=options.fully_conv)
        if not _passed(runs, options):
            return 1
    graph.save(options.output)
    print(f"{printable(str(options.output))}: {options.output.stat().st_size / 1e6:.1f} MB", file=sys.stderr)
    return 0


def _check_name(options: ConvertOptions) -> None:
    """Raises OptionError for a name that says another format, OSError for one in a folder that is none."""
    path = options.output
    if not path.parent.is_dir():
        number = errno.ENOTDIR if path.parent.exists() else errno.ENOENT
        raise OSError(number, os.strerror(number), str(path))
    if path.suffix.lower() in OTHER_FORMATS:
        raise OptionError(f"{path}: what is written is an ONNX model, expected a name that ends in .onnx")


def _check_order(prototxt: str, caffemodel: str) -> None:
    """Raises OptionError where the two files were given for one another."""
    there = Path(prototxt).is_file() and Path(caffemodel).is_file()
    if there and not is_text(prototxt) and is_text(caffemodel):
        raise OptionError(
            f"{prototxt}: a binary file, and {caffemodel} a text: expected the prototxt first, then the"
            " caffemodel"
        )


def _warn_of_training(net: Net, file: str) -> None:
    """Say what a deploy net would not have: losses, accuracies, and the labels that they read."""
    judges = [net_layer for net_layer in net.layers if judges_predictions(net_layer)]
    if not judges:
        return
    labels = {p.bottoms[index] for p in judges for index in p.layer.blind_bottoms if index < len(p.bottoms)}
    read = [blob for blob in net.inputs if net.blobs.get(blob, blob) in labels]
    with_labels = f" and the input {', '.join(read)}" if read else ""
    names = ", ".join(net_layer.name for net_layer in judges)
    warnings.warn(
        f"{file}: a training net: the model keeps {names}{with_labels}; --deploy leaves them out",
        stacklevel=2,
    )


def _require_weights(net: Net, file: str) -> None:
    missing = layers_without_weights(net)
    if missing:
        raise WeightsError(
            f"{file}: no weights for layer(s) {', '.join(missing)};"
            " --allow-missing keeps their fillers' values"
        )


def _preprocessing(options: ConvertOptions) -> dict[str, str]:
    entries = {"channel_order": options.channel_order.upper()}
    mean = pixel_alone(options.mean)
    if mean is not None:
        entries["mean_pixel"] = ",".join(map(str, mean))
    return entries


def _verified(net: Net, converted: Net, options: VerifyOptions, *, fully_conv: bool) -> list[dict[str, Any]]:
    """Compare every blob with the reference of the net as it was before folding and surgery; what surgery
    adds is compared on a larger image, whose sides no pooling divides. Returns what there is to say of each
    run, ready for JSON."""
    # Only here: ONNX Runtime takes time and memory that a conversion does not need.
    from vggrepro.runtime.session import Session
    from vggrepro.verify.comparison import compare_with_reference, difference_table, verdict_line

    blobs = [blob for blob in converted.blobs if blob not in converted.inputs]
    graph = build_forward(converted, outputs=blobs, fully_convolutional=fully_conv)
    session = Session(graph, options.device)
    if options.input is not None:
        fed = str(options.input)
        runs = [_given(net, converted, options.input, fully_conv=fully_conv)]
    else:
        fed, runs = _noise(net, converted, graph, session, fully_conv=fully_conv)
    results: list[dict[str, Any]] = []
    for judge, inputs in runs:
        sizes = ", ".join(f"{name} {'x'.join(map(str, a.shape))}" for name, a in inputs.items())
        print(printable(f"{sizes}:"))
        differences = compare_with_reference(session, judge, inputs, options.tolerance)
        print(difference_table(differences, options.tolerance))
        print(f"{verdict_line(differences, options.tolerance)} (fed: {printable(fed)})")
        shapes = {name: list(array.shape) for name, array in inputs.items()}
        told = [difference.as_json() for difference in differences]
        results.append({"inputs": shapes, "fed": fed, "blobs": told})
    return results


def _noise(
    net: Net, converted: Net, graph: Graph, session: Session, *, fully_conv: bool
) -> tuple[str, list[tuple[Net, dict[str, npt.NDArray[Any]]]]]:
    """What noise is fed, in words, and the nets to judge by with the arrays for each."""
    from vggrepro.verify.comparison import example_inputs
    from vggrepro.verify.input_noise import NORMALISED, declared_std, saturated

    std = declared_std(net)
    if std > NORMALISED and saturated(net, session.run(example_inputs(net, graph, std=std))):
        std = NORMALISED
    runs = [(net, example_inputs(net, graph, std=std))]
    if fully_conv:
        runs.append((fully_convolutional(converted), example_inputs(net, graph, grow=LARGER, std=std)))
    return f"normal noise of standard deviation {std:g}", runs


def _passed(runs: Sequence[dict[str, Any]], options: ConvertOptions) -> bool:
    """Whether every blob is within the tolerance; the runs go to ``--json``, what is beyond it to stderr."""
    failed = [blob["blob"] for result in runs for blob in result["blobs"] if not blob["passed"]]
    if options.verification.json is not None:
        report = {"passed": not failed, "tolerance": options.verification.tolerance, "runs": runs}
        write_json(options.verification.json, report)
    if failed:
        names = ", ".join(failed)
        text = printable(f"{options.output}: not written: beyond tolerance: {names}")
        print(f"error: {text}", file=sys.stderr)
    return not failed


def _given(
    net: Net, converted: Net, path: Path, *, fully_conv: bool
) -> tuple[Net, dict[str, npt.NDArray[Any]]]:
    """The array of --input, and the net to judge by: for an image of another size the convolutional one."""
    if len(net.inputs) != 1:
        raise NetError(f"--input: the net has {len(net.inputs)} inputs ({', '.join(net.inputs)}), not one")
    ((name, shape),) = net.inputs.items()
    try:
        array = np.load(path, allow_pickle=False)
    except ValueError as error:
        raise NetError(f"{path}: not a .npy file: {error}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise NetError(f"{path}: expected one array of numbers in a .npy file")
    resized = fully_conv and array.shape[1:] != shape[1:]
    return (fully_convolutional(converted) if resized else net), {name: array.astype(np.float32)}


if __name__ == "__main__":
    sys.exit(main())
