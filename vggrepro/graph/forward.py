"""Forward graphs: a Net as an ONNX model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import onnx

from vggrepro.emit import RuleSet
from vggrepro.errors import FixedShapeError, NetError, UnsupportedError, did_you_mean
from vggrepro.graph.assembly import Outputs, assemble_graph
from vggrepro.graph.forward_pass import emit_forward
from vggrepro.graph.free_sizes import BATCH, BATCH_AND_SIZE, FIXED, symbolic_dims
from vggrepro.graph.model import Graph
from vggrepro.graph.targets.convert import Deployment, deployed
from vggrepro.graph.targets.table import target_named
from vggrepro.net.net import Net

if TYPE_CHECKING:
    from vggrepro.graph.embedded_preprocessing import Preprocessing


def to_onnx(
    net: Net,
    *,
    outputs: Sequence[str] | None = None,
    fully_convolutional: bool = False,
    target: str = "onnxruntime",
    opset: int | None = None,
    ir_version: int | None = None,
    fixed: bool = False,
    half: bool = False,
    preprocessing: Preprocessing | None = None,
) -> onnx.ModelProto:
    """The net as an ONNX model. Inputs and outputs bear the blobs' names, float32.

    Every size of an input that the net leaves free is symbolic: the batch always where layers and the
    target allow it, height and width where no fully connected layer fixes them. ``fixed`` keeps the net's
    own shapes instead, and so do targets that need it. ``outputs`` names the
    blobs to return (default: those that no layer consumes, or, if there are none, those that only Silence
    does); a blob that layers change in place means its last value (of an input that is changed in place,
    that value is called ``blob#layer``: ONNX lets no output bear an input's name). Nets with state (LSTM,
    RNN, BatchNorm and Dropout in TRAIN)
    have optional inputs ``state:<layer>:<name>`` and outputs ``next:<layer>:<name or index>`` besides.
    ``fully_convolutional`` turns fully connected layers into convolutions (section 3.2 of the paper).

    ``target`` is the runtime that shall run the model (:mod:`vggrepro.graph.targets.table`), ``opset`` and
    ``ir_version`` its operator set and file format (None: the target's usual ones). ``half`` stores large
    weights as float16. With ``preprocessing`` the model takes a decoded image, uint8.

    Raises NetError for an unknown blob, FixedShapeError if a fully convolutional model cannot be
    free in height and width, UnsupportedError that names layer and operator for what a target lacks.
    """
    deployment = Deployment(target, opset, ir_version, half)
    graph = build_deployed(
        net,
        deployment,
        outputs=outputs,
        fully_convolutional=fully_convolutional,
        fixed=fixed,
        preprocessing=preprocessing,
    )
    return graph.to_model()


def build_deployed(
    net: Net,
    deployment: Deployment,
    *,
    outputs: Sequence[str] | None = None,
    fully_convolutional: bool = False,
    fixed: bool = False,
    extra_metadata: Mapping[str, str] | None = None,
    preprocessing: Preprocessing | None = None,
) -> Graph:
    """As :func:`to_onnx`, with the weights left outside; ``extra_metadata`` is added to the model's."""
    target = target_named(deployment.target)
    if target.own_detections:
        from vggrepro.net.transforms.opencv_detections import with_opencv_detections

        net = with_opencv_detections(_fully_convolutional(net) if fully_convolutional else net)

    def finish(graph: Graph) -> Graph:
        if preprocessing is not None:
            from vggrepro.graph.embedded_preprocessing import with_preprocessing

            graph = with_preprocessing(graph, preprocessing)
        return deployed(graph, deployment)

    return _freest(
        net,
        outputs=outputs,
        fully_convolutional=fully_convolutional and not target.own_detections,
        fixed=fixed or target.fixed,
        extra_metadata=extra_metadata,
        finish=finish,
    )


def build_forward(
    net: Net,
    *,
    outputs: Sequence[str] | None = None,
    fully_convolutional: bool = False,
    fixed: bool = False,
    extra_metadata: Mapping[str, str] | None = None,
    rules: RuleSet | None = None,
) -> Graph:
    """The net's forward pass as its layers say it, by a set of rules (None: of plain
    operators), for this package's own sessions; the rest is as in :func:`build_deployed`. On a CPU a net for
    one image at a time is fastest with sizes that are ``fixed``."""
    return _freest(
        net,
        outputs=outputs,
        fully_convolutional=fully_convolutional,
        fixed=fixed,
        extra_metadata=extra_metadata,
        rules=rules,
    )


def _freest(
    net: Net,
    *,
    outputs: Sequence[str] | None,
    fully_convolutional: bool,
    fixed: bool,
    extra_metadata: Mapping[str, str] | None,
    rules: RuleSet | None = None,
    finish: Callable[[Graph], Graph] = lambda graph: graph,
) -> Graph:
    """The graph behind the step ``finish`` that has the most sizes free of those that can be built."""
    if fully_convolutional:
        net = _fully_convolutional(net)
    wanted = list(net.returned if outputs is None else outputs)
    for blob in wanted:
        if blob not in net.blobs:
            there = f"it has {', '.join(net.blobs)}{did_you_mean(blob, net.blobs)}"
            raise NetError(f"net {net.name!r}: no blob {blob!r} to output; {there}")
    if not wanted:
        raise NetError(f"net {net.name!r}: no blob to output: every one is consumed, or there is none")
    *freer, last = [BATCH_AND_SIZE] if fully_convolutional else [BATCH_AND_SIZE, BATCH, FIXED]
    for free in [] if fixed else freer:
        try:
            return finish(_build(net, free, wanted, extra_metadata, rules))
        except (FixedShapeError, NetError, UnsupportedError):
            continue
    return finish(_build(net, FIXED if fixed else last, wanted, extra_metadata, rules))


def _fully_convolutional(net: Net) -> Net:
    from vggrepro.net.transforms.fully_convolutional import fully_convolutional  # with its layers' modules

    return fully_convolutional(net)


def _build(
    net: Net,
    free: frozenset[int],
    wanted: Sequence[str],
    extra: Mapping[str, str] | None,
    rules: RuleSet | None,
) -> Graph:
    forward = emit_forward(net, symbolic_dims(net, free), rules)
    return assemble_graph(
        forward,
        Outputs(blobs=list(dict.fromkeys(wanted))),
        weights={use.key: net.params[use.key] for use in net.param_uses if use.owner == use.key},
        extra_metadata=extra,
    )
