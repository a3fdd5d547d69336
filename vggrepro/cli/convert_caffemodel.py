"""convert_caffemodel: a Caffe model to one ONNX file, verified if asked."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.cli.options import add_net_options, net_from
from vggrepro.cli.run import run
from vggrepro.errors import NetError, WeightsError
from vggrepro.evaluation.verify import table, verify
from vggrepro.graph.forward import build_forward
from vggrepro.net import Net
from vggrepro.net.deploy import to_deploy
from vggrepro.net.fold import fold_batchnorm


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 converted, 1 verification failed (nothing is written), 2 an error."""
    arguments = _parser().parse_args(argv)
    return run(lambda: _convert(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="convert_caffemodel", description="Convert a Caffe model to ONNX.")
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
        help="input for --verify, float32 (default: normal noise, std 50, seed 0)",
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=2e-5,
        help="for --verify, relative to each blob's largest magnitude (default: 2e-5)",
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N, for --verify (default: cpu)")
    return parser


def _convert(arguments: argparse.Namespace) -> int:
    net = net_from(arguments, arguments.caffemodel)
    if not arguments.allow_missing:
        _require_weights(net, arguments.caffemodel)
    if arguments.deploy:
        net = to_deploy(net)
    if arguments.fold_batchnorm:
        net = fold_batchnorm(net)
    graph = build_forward(
        net,
        outputs=arguments.outputs.split(",") if arguments.outputs else None,
        fully_convolutional=arguments.fully_conv,
        extra_metadata=_preprocessing(arguments),
    )
    graph.check()
    if arguments.verify and not _verified(net, arguments):
        return 1
    graph.save(arguments.output)
    print(f"{arguments.output}: {Path(arguments.output).stat().st_size / 1e6:.1f} MB", file=sys.stderr)
    return 0


def _require_weights(net: Net, file: str) -> None:
    missing = sorted({use.key.rsplit(":", 1)[0] for use in net.param_uses if use.owner not in net.loaded})
    if missing:
        raise WeightsError(
            f"{file}: no weights for layer(s) {', '.join(missing)}; --allow-missing keeps their fillers' values"
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


def _verified(net: Net, arguments: argparse.Namespace) -> bool:
    differences = verify(
        net,
        _inputs(net, arguments.input),
        tolerance=arguments.tolerance,
        fully_convolutional=arguments.fully_conv,
        device=arguments.device,
    )
    print(table(differences))
    failed = [d.blob for d in differences if not d.passed]
    if failed:
        print(
            f"error: {arguments.output}: not written: {len(failed)} blobs beyond tolerance, first {failed[0]!r}",
            file=sys.stderr,
        )
    return not failed


def _inputs(net: Net, file: str | None) -> dict[str, npt.NDArray[Any]]:
    """The given array, or noise of the range of pixels minus their mean; one image of a batch suffices."""
    if file is not None:
        if len(net.inputs) != 1:
            raise NetError(
                f"--input: the net has {len(net.inputs)} inputs ({', '.join(net.inputs)}), not one"
            )
        try:
            array = np.load(file, allow_pickle=False)
        except ValueError as error:
            raise NetError(f"{file}: not a .npy file: {error}") from error
        return {next(iter(net.inputs)): array.astype(np.float32)}
    rng = np.random.default_rng(0)
    return {name: 50 * rng.standard_normal(shape, np.float32) for name, shape in net.inputs.items()}


if __name__ == "__main__":
    sys.exit(main())
