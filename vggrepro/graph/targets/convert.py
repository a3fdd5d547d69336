"""A finished graph made fit for the runtime that it is meant for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vggrepro.emit import OPENCV
from vggrepro.errors import UnsupportedError
from vggrepro.graph.model import Graph
from vggrepro.graph.targets import affine, conditions, plain
from vggrepro.graph.targets.draft import Draft, Place, Rule, layer_of, rewrite
from vggrepro.graph.targets.fold import fold_constants
from vggrepro.graph.targets.half import with_half_weights
from vggrepro.graph.targets.interface import (
    as_onnx_operators,
    with_axes,
    without_characters,
    without_inner_names,
    without_unread_inputs,
)
from vggrepro.graph.targets.lrn_node import lrn
from vggrepro.graph.targets.opsets import in_opset
from vggrepro.graph.targets.table import target_named
from vggrepro.graph.targets.target import REDUCTIONS, Lack, Target

ALWAYS: Sequence[tuple[str, Rule]] = (
    ("Identity", plain.no_identity),
    ("Reshape", plain.flatten),
    ("Reshape", plain.fixed_shape),
    ("Conv", plain.kernel_shape),
    ("ConvTranspose", plain.kernel_shape),
    ("AveragePool", plain.strides),
    ("MaxPool", plain.strides),
    *((operator, plain.keepdims) for operator in sorted(REDUCTIONS)),
)
"""Steps for every target: none changes a bit of what ONNX Runtime computes."""

PLAIN: Sequence[tuple[str, Rule]] = (
    ("Reciprocal", plain.sigmoid),
    ("Div", plain.softmax),
    ("Mul", lrn),
    ("", affine.into_weights),
    ("", affine.merge),
)
"""Further steps for all targets that do not want the exact forms."""


@dataclass(frozen=True)
class Deployment:
    """How a model is written. ``opset`` None: the target's usual one; ``ir_version`` None: the one that came
    with the operator set; ``half``: large weights are stored as float16."""

    target: str = "onnxruntime"
    opset: int | None = None
    ir_version: int | None = None
    half: bool = False


def deployed(graph: Graph, deployment: Deployment) -> Graph:
    """The graph for a runtime. Raises UnsupportedError that names the layer and the operator which the target
    or the operator set lacks."""
    target = target_named(deployment.target)
    draft = fold_constants(Draft.of(graph))
    for operator, rule in ALWAYS if target.exact else [*ALWAYS, *PLAIN]:
        draft = rewrite(draft, operator, rule)
    opset = target.opset if deployment.opset is None else deployment.opset
    draft = fold_constants(in_opset(draft, opset, deployment.ir_version))
    for lack in target.lacks:
        draft = _without(draft, lack, target)
    if not target.scalars:
        draft = with_axes(draft)
    if deployment.half:
        draft = with_half_weights(draft)
    _require_operators(draft, target)
    finished = as_onnx_operators(without_characters(draft.finished(), target.names), OPENCV)
    if not target.inner_tensors:
        finished = without_inner_names(finished)
    return finished if target.unread_inputs else without_unread_inputs(finished)


def _without(draft: Draft, lack: Lack, target: Target) -> Draft:
    def remedied(place: Place) -> Sequence[str] | None:
        if not lack.where(place):
            return None
        stand_in = lack.remedy(place) if lack.remedy is not None else None
        if stand_in is None:
            raise UnsupportedError(
                f"layer {layer_of(place.node)!r}: operator {place.node.op_type} for {target.title}:"
                f" {lack.reason} (seen on {lack.seen})"
            )
        return stand_in

    return fold_constants(rewrite(draft, lack.operator, remedied))


def _require_operators(draft: Draft, target: Target) -> None:
    for node in draft.nodes:
        known = target.operators is None or node.op_type in target.operators
        if not known and node.domain != OPENCV and not conditions.of_bytes(Place(draft, node)):
            raise UnsupportedError(
                f"layer {layer_of(node)!r}: operator {node.op_type} is not in {target.title},"
                " or not in all its versions"
            )
