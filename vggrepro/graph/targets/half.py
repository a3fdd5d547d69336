"""float16: for large weights alone, which halves the file and leaves the arithmetic float32; or
throughout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from vggrepro.emit import FLOAT, FLOAT16, GraphBuilder, declared_dtype, tensor, tensor_array
from vggrepro.errors import UnsupportedError
from vggrepro.graph.model import LARGE, Graph
from vggrepro.graph.nodes import rename
from vggrepro.graph.targets.draft import Draft

_LARGEST = np.float32(65504)

LARGEST_FILTER = 2**13
"""Elements of one filter up to which a convolution is computed in float16. cuDNN 9.19 has no algorithm in
float16 for the 512 x 7 x 7 elements of VGG's fc6 as a convolution; for conv5's 512 x 3 x 3 it has."""


def with_half_weights(draft: Draft) -> Draft:
    """The draft with every large float32 constant as float16 behind a Cast.

    DEVIATION: a weight is rounded to 11 bits, a relative error of up to 4.9e-4, and to multiples of 6e-8 near
    zero. Raises UnsupportedError for one beyond 65504.
    """
    g = GraphBuilder()
    for name in [*draft.graph.input_names, *draft.constants, *draft.producers]:
        g.reserve(name)
    stored: dict[str, npt.NDArray[np.float16]] = {}
    casts = {}
    for name, array in draft.constants.items():
        if array.dtype != np.float32 or array.nbytes < LARGE:
            continue
        stored[name] = _half(name, array)
        casts[name] = g.op("Cast", name, to=FLOAT)
    nodes = []
    for node in draft.nodes:
        copy = type(node)()
        copy.CopyFrom(node)
        copy.input[:] = [casts.get(name, name) for name in node.input]
        nodes.append(copy)
    return replace(draft, nodes=[*g.nodes, *nodes], constants={**draft.constants, **stored})


def in_half_precision(graph: Graph) -> Graph:
    """The graph with float16 for every float32 inside; what it takes and gives stays float32, and so do
    convolutions with filters of more than LARGEST_FILTER elements.

    DEVIATION: every value is rounded to 11 bits. Raises UnsupportedError for weights beyond 65504.
    """
    draft, infos = Draft.of(graph), graph.skeleton.graph
    before, behind = GraphBuilder(), GraphBuilder()
    for name in [*graph.input_names, *draft.constants, *draft.producers]:
        before.reserve(name)
        behind.reserve(name)
    taken = {i.name: before.op("Cast", i.name, to=FLOAT16) for i in infos.input if _is_float(i)}
    given = {o.name: before.fresh(f"{o.name}_half") for o in infos.output if _is_float(o)}
    for made in (*taken.values(), *given.values()):
        behind.reserve(made)
    casts = {behind.op("Cast", made, to=FLOAT): name for name, made in given.items()}
    exact = [node for node in draft.nodes if _is_large(node, draft.constants)]
    kept = {name for node in exact for name in node.input[1:]}
    inside: list[onnx.NodeProto] = []
    for node in draft.nodes:
        copy = _in_half(node, {**taken, **given})
        inside += _between_casts(behind, copy) if node in exact else [copy]
    constants = {
        name: _half(name, array) if array.dtype == np.float32 and name not in kept else array
        for name, array in draft.constants.items()
    }
    nodes = rename([*before.nodes, *inside, *behind.nodes], casts.items())
    return replace(draft, nodes=nodes, constants=constants).finished()


def _is_large(node: onnx.NodeProto, constants: Mapping[str, npt.NDArray[Any]]) -> bool:
    if node.op_type != "Conv" or any(name not in constants for name in node.input[1:]):
        return False
    return bool(constants[node.input[1]][0].size > LARGEST_FILTER)


def _between_casts(g: GraphBuilder, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """The node in float32, whose input is cast from float16 and its output to it; ``g`` knows all names."""
    taken, given = (g.fresh(f"{name}_float") for name in (node.input[0], node.output[0]))
    casts = [
        helper.make_node("Cast", [node.input[0]], [taken], taken, to=FLOAT),
        helper.make_node("Cast", [given], [node.output[0]], given, to=FLOAT16),
    ]
    node.input[0], node.output[0] = taken, given
    return [casts[0], node, casts[1]]


def _is_float(info: onnx.ValueInfoProto) -> bool:
    return declared_dtype(info) == np.float32


def _in_half(node: onnx.NodeProto, names: Mapping[str, str]) -> onnx.NodeProto:
    """The node between tensors of other names, with float16 where it makes float32 itself."""
    copy = type(node)()
    copy.CopyFrom(node)
    copy.input[:] = [names.get(name, name) for name in node.input]
    copy.output[:] = [names.get(name, name) for name in node.output]
    for attribute in copy.attribute:
        if node.op_type == "Cast" and attribute.i == FLOAT:
            attribute.i = FLOAT16
        elif node.op_type == "ConstantOfShape" and attribute.t.data_type == FLOAT:
            attribute.t.CopyFrom(tensor("", tensor_array(attribute.t).astype(np.float16)))
    return copy


def _half(name: str, array: npt.NDArray[np.float32]) -> npt.NDArray[np.float16]:
    """The array as float16. A single number may stand for the largest there is: it becomes float16's."""
    if array.size == 1:
        return np.clip(array, -_LARGEST, _LARGEST).astype(np.float16)
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    if not np.array_equal(np.isfinite(half), np.isfinite(array)):
        raise UnsupportedError(f"weights {name!r}: values beyond 65504 are not in float16")
    return half
