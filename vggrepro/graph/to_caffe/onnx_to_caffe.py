"""An ONNX model of plain operators as a Caffe net: prototxt and parameters.

A model that this package wrote comes back too: what a layer says in several operators is brought to plain
ones first. What Caffe 1.0 cannot say is refused by the operator's name.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError

from vggrepro.caffe.messages import NetParameter
from vggrepro.emit import Shape, attributes, declared_dims, tensor_array
from vggrepro.errors import NetError, ParseError, UnsupportedError, some_of, within_length
from vggrepro.graph.model import Graph
from vggrepro.graph.nodes import needed_nodes
from vggrepro.graph.targets import affine, plain
from vggrepro.graph.targets.draft import Draft, Place, Rule, rewrite
from vggrepro.graph.targets.fold import fold_constants
from vggrepro.graph.targets.lrn_node import lrn as plain_lrn
from vggrepro.graph.to_caffe import (
    linear_layers,
    pooling_layers,
    shape_layers,
    value_layers,
    weighted_layers,
)
from vggrepro.graph.to_caffe.caffe_writer import CaffeWriter, Reading
from vggrepro.system.file_names import failure

PLAINER: Sequence[tuple[str, Rule]] = (
    ("Identity", plain.no_identity),
    ("Reciprocal", plain.sigmoid),
    ("Div", plain.softmax),
    ("Mul", plain_lrn),
    ("", affine.into_weights),
    ("", affine.merge),
)

LAYERS: Mapping[str, Callable[[Reading], None]] = {
    "Add": value_layers.arithmetic,
    "AveragePool": pooling_layers.average_pool,
    "BatchNormalization": weighted_layers.batch_normalization,
    "Clip": value_layers.clip,
    "Concat": shape_layers.concat,
    "Conv": weighted_layers.convolution,
    "ConvTranspose": weighted_layers.deconvolution,
    "DepthToSpace": linear_layers.depth_to_space,
    "Div": value_layers.arithmetic,
    "Dropout": shape_layers.dropout,
    "Elu": value_layers.elu,
    "Expand": shape_layers.expand,
    "Flatten": shape_layers.flatten,
    "Gather": linear_layers.gather,
    "Gemm": weighted_layers.fully_connected,
    "GlobalAveragePool": pooling_layers.global_pool,
    "GlobalMaxPool": pooling_layers.global_pool,
    "HardSigmoid": value_layers.hard_sigmoid,
    "HardSwish": value_layers.hard_swish,
    "Identity": shape_layers.alias,
    "LRN": pooling_layers.lrn,
    "LeakyRelu": value_layers.leaky_relu,
    "LogSoftmax": value_layers.log_softmax,
    "MatMul": weighted_layers.product,
    "Max": value_layers.bound,
    "MaxPool": pooling_layers.max_pool,
    "Min": value_layers.bound,
    "Mul": value_layers.arithmetic,
    "Neg": value_layers.power,
    "PRelu": weighted_layers.prelu,
    "Pad": shape_layers.pad,
    "Pow": value_layers.power,
    "Reciprocal": value_layers.power,
    "Reshape": shape_layers.reshape,
    "Resize": linear_layers.resize,
    "Selu": value_layers.selu,
    "Slice": shape_layers.slices,
    "Softmax": value_layers.softmax,
    "SpaceToDepth": linear_layers.space_to_depth,
    "Split": shape_layers.split,
    "Sqrt": value_layers.power,
    "Squeeze": shape_layers.reshape,
    "Sub": value_layers.arithmetic,
    "Sum": value_layers.arithmetic,
    "Tile": shape_layers.tile,
    "Transpose": linear_layers.transpose,
    "Unsqueeze": shape_layers.reshape,
    "Upsample": linear_layers.resize,
    **dict.fromkeys(value_layers.PLAIN, value_layers.activation),
    **dict.fromkeys(pooling_layers.REDUCTIONS, pooling_layers.reduction),
}
"""What writes the layers for a node, by operator."""

OLDEST, NEWEST = 7, 24
"""Operator sets that are read."""


def to_caffe(
    model: onnx.ModelProto, input_shapes: Mapping[str, Shape] | None = None
) -> tuple[NetParameter, dict[str, list[npt.NDArray[Any]]]]:
    """The ``NetParameter`` of a model, and the parameters of its layers by name.

    ``input_shapes`` gives sizes to inputs that leave them free; a free first size is 1 without it. Raises
    UnsupportedError, naming all operators that Caffe lacks, or the node of one that it has for other cases.
    """
    draft = _plain_draft(_fixed(model, input_shapes or {}))
    _check_operators(draft)
    out = CaffeWriter(NetParameter(name=model.graph.name))
    for info in draft.graph.skeleton.graph.input:
        layer = out.layer("Input", [], [info.name])
        sizes = [d for d in declared_dims(info) or () if d is not None]
        layer.input_param.shape.add().dim.extend(sizes)
    for node in draft.nodes:
        LAYERS[node.op_type](Reading(Place(draft, node), out))
    return out.message, out.blobs


def _fixed(model: onnx.ModelProto, shapes: Mapping[str, Shape]) -> onnx.ModelProto:
    """A copy of the model whose inputs are those that are fed, with all sizes fixed."""
    version = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
    if not OLDEST <= version <= NEWEST:
        raise UnsupportedError(f"operator set {version}, expected {OLDEST} to {NEWEST}")
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    inside = {i.name for i in fixed.graph.initializer}
    fed = [i for i in fixed.graph.input if i.name not in inside]
    unknown = sorted(set(shapes) - {i.name for i in fed})
    if unknown:
        raise NetError(f"no input {unknown[0]!r}; the inputs are {[i.name for i in fed]}")
    del fixed.graph.value_info[:]
    for info in fed:
        dims = declared_dims(info)
        given = shapes.get(info.name)
        if given is None:
            given = tuple(1 if axis == 0 and not d else d or 0 for axis, d in enumerate(dims or (0,)))
        if dims is not None and len(given) != len(dims):
            raise NetError(f"input {info.name!r}: shape {given}, the model has one of {len(dims)} sizes")
        if 0 in given:
            raise UnsupportedError(
                f"input {info.name!r} leaves sizes free: --input-shape {info.name}=N,C,H,W"
            )
        info.type.tensor_type.ClearField("shape")
        for size in given:
            info.type.tensor_type.shape.dim.add(dim_value=size)
    kept = [onnx.ValueInfoProto.FromString(i.SerializeToString()) for i in fed]
    del fixed.graph.input[:]
    fixed.graph.input.extend(kept)
    for output in fixed.graph.output:
        output.type.tensor_type.ClearField("shape")
    return fixed


def _plain_draft(model: onnx.ModelProto) -> Draft:
    draft = Draft.of(Graph(model, {}))
    draft.check()
    needed, _ = needed_nodes(draft.nodes, draft.outputs)
    constants = {n.output[0]: n for n in needed if n.op_type == "Constant" and not n.domain}
    arrays = {name: _constant(node) for name, node in constants.items()}
    nodes = [node for node in needed if node.output[0] not in constants]
    draft = fold_constants(replace(draft, nodes=nodes, constants={**draft.constants, **arrays}))
    for operator, rule in PLAINER:
        draft = rewrite(draft, operator, rule)
    return fold_constants(draft)


def _constant(node: onnx.NodeProto) -> npt.NDArray[Any]:
    """The array of a Constant, which has one of several attributes."""
    ((name, value),) = attributes(node).items()
    if name == "value":
        return tensor_array(value)
    if name in ("value_float", "value_floats"):
        return np.array(value, np.float32)
    if name in ("value_int", "value_ints"):
        return np.array(value, np.int64)
    raise UnsupportedError(f"node {node.name or node.output[0]!r}: a Constant with {name}")


def _check_operators(draft: Draft) -> None:
    places: dict[str, list[str]] = {}
    for node in draft.nodes:
        if node.domain not in ("", "ai.onnx") or node.op_type not in LAYERS:
            operator = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
            places.setdefault(operator, []).append(repr(node.name or node.output[0]))
    if places:
        listed = within_length(f"{operator} ({some_of(names)})" for operator, names in places.items())
        raise UnsupportedError(f"operators that Caffe lacks: {listed}")


def read_onnx(path: str | os.PathLike[str]) -> onnx.ModelProto:
    """The model of a file, its external data too. Raises ParseError, also for a model that ONNX's checker
    refuses."""
    try:
        model = onnx.load(os.fspath(path), format="protobuf")
        if model.graph.node:
            onnx.checker.check_model(os.fspath(path))
    except OSError as error:
        raise ParseError(f"{os.fspath(path)}: {failure(error)}") from None
    except (DecodeError, ValueError, onnx.checker.ValidationError) as error:
        raise ParseError(f"{os.fspath(path)}: no ONNX model: {' '.join(str(error).split())}") from None
    if not model.graph.node:
        raise ParseError(f"{os.fspath(path)}: an ONNX model without nodes, or none at all")
    return model
