"""convert_caffemodel: a Caffe model to one ONNX file, verified if asked."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.cli.options.net import add_net_options, net_from
from vggrepro.cli.run import Parser, run
from vggrepro.errors import NetError, WeightsError
from vggrepro.graph.forward import build_forward
from vggrepro.net import Net
from vggrepro.net.transforms.deploy import to_deploy
from vggrepro.net.transforms.fold_batchnorm import fold_batchnorm
from vggrepro.net.transforms.fully_convolutional import fully_convolutional
from vggrepro.system.atomic import write_json

LARGER = (33, 51)
"""What --verify adds to height and width of images for --fully-conv, in pixels."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 converted, 1 verification failed (nothing is written), 2 an error."""
    arguments = _parser().parse_args(argv)
    return run(lambda: _convert(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="convert_caffemodel", description="Convert a Caffe model to ONNX.")
    parser.add_argument("prototxt", help="the net: V0, V1 or current format")
    parser.add_argument("caffemodel", help="its weights: .caffemodel or Caffe's .h5")
    parser.add_argument("-o", "--output", required=True, metavar="MODEL.onnx", help="the file to write")
    add_net_options(parser)
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
    parser.add_argument("--mean", metavar="B,G,R", help="mean pixel, kept in the model's metadata")
    parser.add_argument(
        "--channel-order",
        choices=["BGR", "RGB"],
        default="BGR",
        help="kept in the model's metadata (default: BGR)",
    )
    parser.add_argument(
        "--verify", action="store_true", help="compare every blob with the float64 reference before writing"
    )
    parser.add_argument(
        "--input",
        metavar="FILE.npy",
        help="array for --verify to feed (default: normal noise with standard deviation 50)",
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=1e-4,
        help="for --verify, relative to each blob's largest magnitude (default: 1e-4; most nets stay below"
        " 1e-6, but layers that saturate magnify the rounding of large values)",
    )
    parser.add_argument("--json", metavar="FILE", help="where --verify writes its differences as JSON")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N, for --verify (default: cpu)")
    return parser


def _convert(arguments: argparse.Namespace) -> int:
    properties = _preprocessing(arguments)
    net = net_from(arguments, arguments.caffemodel, fill=arguments.allow_missing)
    if not arguments.allow_missing:
        _require_weights(net, arguments.caffemodel)
    if arguments.deploy:
        net = to_deploy(net)
    converted = fold_batchnorm(net) if arguments.fold_batchnorm else net
    graph = build_forward(
        converted,
        outputs=arguments.outputs.split(",") if arguments.outputs else None,
        fully_convolutional=arguments.fully_conv,
        extra_metadata=properties,
    )
    graph.check()
    if arguments.verify and not _verified(net, converted, arguments):
        return 1
    graph.save(arguments.output)
    print(f"{arguments.output}: {Path(arguments.output).stat().st_size / 1e6:.1f} MB", file=sys.stderr)
    return 0


def _require_weights(net: Net, file: str) -> None:
    missing = dict.fromkeys(
        use.key.rsplit(":", 1)[0] for use in net.param_uses if use.owner not in net.loaded
    )
    if missing:
        raise WeightsError(
            f"{file}: no weights for layer(s) {', '.join(missing)};"
            " --allow-missing keeps their fillers' values"
        )


def _preprocessing(arguments: argparse.Namespace) -> dict[str, str]:
    entries = {"channel_order": arguments.channel_order}
    if arguments.mean is not None:
        try:
            mean = [float(part) for part in arguments.mean.split(",")]
        except ValueError:
            mean = []
        if len(mean) != 3:
            raise NetError(f"--mean takes three numbers B,G,R, got {arguments.mean!r}")
        entries["mean_pixel"] = ",".join(map(str, mean))
    return entries


def _verified(net: Net, converted: Net, arguments: argparse.Namespace) -> bool:
    """Compare every blob with the reference of the net as it was before folding and surgery; what surgery
    adds is compared on a larger image, whose sides no pooling divides."""
    # Only here: ONNX Runtime takes time and memory that a conversion does not need.
    from vggrepro.runtime.session import Session
    from vggrepro.verify.comparison import example_inputs, table, verify

    blobs = [blob for blob in converted.blobs if blob not in converted.inputs]
    graph = build_forward(converted, outputs=blobs, fully_convolutional=arguments.fully_conv)
    if arguments.input is not None:
        runs = [_given(net, converted, arguments)]
    else:
        runs = [(net, example_inputs(net, graph))]
        if arguments.fully_conv:
            runs.append((fully_convolutional(converted), example_inputs(net, graph, grow=LARGER)))
    session = Session(graph, arguments.device)
    results: list[dict[str, Any]] = []
    for judge, inputs in runs:
        print(", ".join(f"{name} {'x'.join(map(str, a.shape))}" for name, a in inputs.items()) + ":")
        differences = verify(session, judge, inputs, arguments.tolerance)
        print(table(differences))
        results.append(
            {
                "inputs": {name: list(array.shape) for name, array in inputs.items()},
                "blobs": [difference.as_json() for difference in differences],
            }
        )
    failed = [blob["blob"] for result in results for blob in result["blobs"] if not blob["passed"]]
    if arguments.json:
        report = {"passed": not failed, "tolerance": arguments.tolerance, "runs": results}
        write_json(arguments.json, report)
    if failed:
        print(
            f"error: {arguments.output}: not written: beyond tolerance: {', '.join(failed)}", file=sys.stderr
        )
    return not failed


def _given(
    net: Net, converted: Net, arguments: argparse.Namespace
) -> tuple[Net, dict[str, npt.NDArray[Any]]]:
    """The array of --input, and the net to judge by: for an image of another size the convolutional one."""
    if len(net.inputs) != 1:
        raise NetError(f"--input: the net has {len(net.inputs)} inputs ({', '.join(net.inputs)}), not one")
    ((name, shape),) = net.inputs.items()
    try:
        array = np.load(arguments.input, allow_pickle=False)
    except ValueError as error:
        raise NetError(f"{arguments.input}: not a .npy file: {error}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise NetError(f"{arguments.input}: expected one array of numbers in a .npy file")
    resized = arguments.fully_conv and array.shape[1:] != shape[1:]
    return (fully_convolutional(converted) if resized else net), {name: array.astype(np.float32)}


if __name__ == "__main__":
    sys.exit(main())
