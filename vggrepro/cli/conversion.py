"""What ``convert_caffemodel`` does: from its command line to a written model."""

from __future__ import annotations

import argparse
import atexit
import gc
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vggrepro.cli.options.deployment import DeploymentOptions, add_deployment_options
from vggrepro.cli.options.net import NetOptions, add_net_options
from vggrepro.cli.options.preprocessing import PreprocessingOptions, add_preprocessing_options
from vggrepro.cli.options.provenance import ProvenanceOptions, add_provenance_options
from vggrepro.cli.options.quiet import add_quiet_option
from vggrepro.cli.options.read import read
from vggrepro.cli.options.refuse import refuse_without
from vggrepro.cli.options.results import add_output_option, check_outputs
from vggrepro.cli.options.values import names
from vggrepro.cli.options.verification import VerifyOptions, add_verification_options
from vggrepro.cli.run import NOTHING_WRITTEN, Parser, run
from vggrepro.errors import OptionError
from vggrepro.system.atomic import write_json
from vggrepro.system.file_digest import digesting
from vggrepro.system.notes import next_step, note
from vggrepro.system.terminal import printable
from vggrepro.system.threads import import_numpy_alone

if TYPE_CHECKING:
    from vggrepro.cli.net_to_convert import Conversion
    from vggrepro.cli.recognised import Recognised
    from vggrepro.graph.model import Graph
    from vggrepro.net import Net

_EXAMPLES = (
    "deploy.prototxt weights.caffemodel -o model.onnx --verify",
    "deploy.prototxt weights.caffemodel -o dense.onnx --fully-conv --mean 103.939,116.779,123.68",
    "deploy.prototxt weights.caffemodel -o model.onnx --target opencv4 --verify-with opencv",
)


@dataclass(frozen=True)
class ConvertOptions:
    """The command line."""

    net: NetOptions
    caffemodel: str | None
    output: Path
    fully_conv: bool
    deploy: bool
    fold_batchnorm: bool
    allow_missing: bool
    opencv_names: bool
    outputs: tuple[str, ...] | None
    preprocessing: PreprocessingOptions
    provenance: ProvenanceOptions
    deployment: DeploymentOptions
    verification: VerifyOptions
    quiet: bool
    traceback: bool


def convert(command: Sequence[str]) -> int:
    """Run the command with these arguments; its exit code."""
    options = read(ConvertOptions, parser().parse_args(command))

    # Python would look through all that lives for what nobody refers to: again and again while modules are
    # imported, for 0.015 s, and when the process ends, for 0.05 s.
    gc.disable()
    atexit.register(gc.freeze)

    def converted() -> int:
        with digesting(Path(options.caffemodel or options.net.prototxt)):
            if not (options.verification.compares or options.deployment.fp16):
                import_numpy_alone()
            return _convert(options, command)

    return run(converted, traceback=options.traceback, quiet=options.quiet, kept=NOTHING_WRITTEN)


def parser() -> argparse.ArgumentParser:
    """All options of the command."""
    parser = Parser(
        command="convert_caffemodel", examples=_EXAMPLES, description="Convert a Caffe model to ONNX."
    )
    parser.add_argument("prototxt", help="the net: V0, V1 or current format; or an archive of DIGITS")
    parser.add_argument(
        "caffemodel",
        nargs="?",
        help="its weights: .caffemodel or Caffe's .h5 (not with an archive of DIGITS in place of the net)",
    )
    add_output_option(parser, "the ONNX model to write")
    add_net_options(parser)
    _add_conversion(parser)
    add_deployment_options(parser)
    add_verification_options(parser)
    add_quiet_option(parser)
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
        "--opencv-names",
        action="store_true",
        help="blobs are called as OpenCV 4's readNetFromCaffe calls them, most by their layers' names",
    )
    parser.add_argument(
        "--outputs",
        type=names,
        metavar="BLOB,...",
        help="blobs to return (default: those that no layer consumes)",
    )
    add_preprocessing_options(parser)
    add_provenance_options(parser)


def _convert(options: ConvertOptions, command: Sequence[str]) -> int:
    from vggrepro.cli.net_to_convert import Conversion, check_order, with_folded_batchnorm
    from vggrepro.cli.recognised import recognise
    from vggrepro.cli.written_model import check_name
    from vggrepro.graph.targets.table import target_named

    verification = options.verification
    if not verification.verify:
        refuse_without("--verify", verification, "device")
        if not verification.verify_with:
            refuse_without("--verify", verification, "input", "tolerance", "json")
    check_name(options.output)
    options, caffemodel = _with_files(options)
    check_order(options.net.prototxt, caffemodel)
    preprocessing = options.preprocessing.embedded()
    check_outputs(options.output, verification.json, options.provenance.card, options=options)
    known = recognise(options.net.prototxt, caffemodel)
    if preprocessing is not None:
        known.hint_at_mean(preprocessing.mean)
    net = _loaded(options, caffemodel)
    folded = with_folded_batchnorm(net) if options.fold_batchnorm else net
    fixed = bool(options.net.forks.input_shape)
    conversion = Conversion(net, folded, options.fully_conv, fixed, preprocessing)
    said = _provenance(options, command, known, net)
    graph = _graph(options, conversion, _outputs(options, folded)).telling(said)
    graph.check()
    of_target = target_named(options.deployment.target).note
    if of_target:
        note(f"note: {of_target}")
    return _write(options, conversion, graph, known)


def _provenance(
    options: ConvertOptions, command: Sequence[str], known: Recognised, net: Net
) -> dict[str, str]:
    """What the model's metadata says of its making, besides the digests of its sources."""
    from vggrepro.cli.provenance import class_names, made_by, named_classes

    synsets = options.provenance.synsets
    names = class_names(synsets, net) if synsets is not None else []
    known.note_weights()
    made = made_by("vggrepro convert-caffemodel", command, options.deployment.target)
    return {**made, **known.facts(), **named_classes(names)}


def _write(options: ConvertOptions, conversion: Conversion, graph: Graph, known: Recognised) -> int:
    """Compare, write, and tell what was found. The exit code: 1 if a comparison failed."""
    from vggrepro.cli.provenance import measured_error
    from vggrepro.cli.written_model import write_model

    gc.freeze()
    gc.enable()
    report = _compared(options, conversion, graph)
    if not _failed_blobs(report):
        if options.verification.verify_with:
            report |= _write_checked(options, conversion, graph, report)
        else:
            write_model(graph.telling(measured_error(report)), options.output, options.deployment)
    return _told(options, report, graph, known)


def _compared(options: ConvertOptions, conversion: Conversion, graph: Graph) -> dict[str, Any]:
    """What a report says of the comparisons that are asked for before anything is written."""
    verification = options.verification
    report: dict[str, Any] = {"tolerance": verification.tolerance}
    if verification.verify or options.deployment.fp16:
        from vggrepro.cli.conversion_check import compare_blobs, half_error

        if verification.verify:
            given, tolerance = verification.input, verification.tolerance
            report["runs"] = compare_blobs(conversion, given, tolerance, verification.device)
        if options.deployment.fp16:
            report["fp16"] = half_error(conversion, graph)
    return report


def _write_checked(
    options: ConvertOptions, conversion: Conversion, graph: Graph, report: dict[str, Any]
) -> dict[str, Any]:
    """Write a model that runtimes answer rightly; what a report says of their answers."""
    from vggrepro.cli.conversion_check import ConversionCheck
    from vggrepro.cli.provenance import measured_error
    from vggrepro.cli.written_model import RuntimeChecks, as_report, write_checked

    given, tolerance = options.verification.input, options.verification.tolerance
    check = ConversionCheck(conversion)
    examples = [*([check.given_example(given)] if given else []), *check.noises(graph)]
    build = lambda blobs: _graph(options, conversion, blobs)  # noqa: E731
    tell = lambda checks: measured_error(report | as_report(checks))  # noqa: E731
    asked = RuntimeChecks(options.verification.verify_with, examples, tolerance, build, tell)
    return as_report(write_checked(graph, options.output, options.deployment, asked))


def _with_files(options: ConvertOptions) -> tuple[ConvertOptions, str]:
    """The options with the deploy net of an archive of DIGITS in the archive's place, and the weights' file.
    Raises OptionError for a net without weights, or an archive with others."""
    if options.caffemodel is not None:
        return options, options.caffemodel
    from vggrepro.caffe.digits_job import is_job_archive, open_job
    from vggrepro.caffe.text import is_text

    archive = Path(options.net.prototxt)
    if is_job_archive(archive):
        job = open_job(archive)
        return replace(options, net=replace(options.net, prototxt=str(job.deploy))), str(job.snapshot)
    told = "" if not archive.is_file() or is_text(archive) else ", and in front of these a prototxt"
    raise OptionError(f"{archive}: expected its weights behind it, a .caffemodel or .h5{told}")


def _loaded(options: ConvertOptions, caffemodel: str) -> Net:
    """The net as it shall be converted, before BatchNorm is folded."""
    from vggrepro.cli import net_to_convert as steps

    net = options.net.load(caffemodel, fill=options.allow_missing)
    if not options.allow_missing:
        steps.require_weights(net, caffemodel)
    if not options.deploy:
        steps.warn_of_training(net, options.net.prototxt)
    no_softmax = options.deployment.no_softmax
    net = steps.changed(net, deploy=options.deploy, no_softmax=no_softmax, opencv_names=options.opencv_names)
    return steps.without_custom_ends(net, options.outputs)


def _outputs(options: ConvertOptions, net: Net) -> Sequence[str] | None:
    """The blobs to return; None: those that the net returns, in its order."""
    from vggrepro.net.transforms.opencv_names import opencv_outputs

    return opencv_outputs(net) if options.opencv_names and options.outputs is None else options.outputs


def _graph(options: ConvertOptions, conversion: Conversion, outputs: Sequence[str] | None) -> Graph:
    """The graph that is written, or one that returns other blobs. A shape that the user gives is fixed."""
    from vggrepro.graph.forward import build_deployed

    return build_deployed(
        conversion.net,
        options.deployment.deployment,
        outputs=outputs,
        fully_convolutional=conversion.fully_conv,
        fixed=conversion.fixed,
        extra_metadata=options.preprocessing.noted(),
        preprocessing=conversion.preprocessing,
    )


def _failed_blobs(report: dict[str, Any]) -> list[str]:
    return [b["blob"] for result in report.get("runs", ()) for b in result["blobs"] if not b["passed"]]


def _told(options: ConvertOptions, report: dict[str, Any], graph: Graph, known: Recognised) -> int:
    """The exit code; the report goes to ``--json``, a written model's card to ``--card``, blobs that are
    beyond the tolerance to stderr."""
    from vggrepro.cli.first_run import first_run
    from vggrepro.cli.model_card import write_card
    from vggrepro.cli.provenance import measured_error

    failed = _failed_blobs(report)
    passed = not failed and all(check["passed"] for check in report.get("runtimes", ()))
    if options.verification.json is not None:
        write_json(options.verification.json, {"passed": passed, **report})
    card = options.provenance.card
    if passed and card is not None:
        measured = measured_error(report).get("measured_error", "")
        weights = [Path(f"{options.output}.data")] if options.deployment.external_data else []
        files = [options.output, *(path for path in weights if path.is_file())]
        write_card(card, files, graph, measured, [known.weights] if known.weights else [])
    if passed:
        verified = bool(report.keys() & {"runs", "runtimes"})
        inputs = [tensor.name for tensor in graph.skeleton.graph.input]
        next_step(first_run(options.output, options.deployment.target, inputs, verified=verified))
    if failed:
        names = ", ".join(failed)
        text = printable(f"{options.output}: not written: beyond tolerance: {names}")
        print(f"error: {text}", file=sys.stderr)
    return int(not passed)
