"""``Draft``: a finished graph taken apart, so that its nodes can be replaced; and the walk that does so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from vggrepro.emit import Dims, GraphBuilder, Shape, attributes, declared_dims, declared_dtype, tensor_array
from vggrepro.errors import NetError
from vggrepro.graph.model import Graph, initializers, is_outside
from vggrepro.graph.nodes import needed_nodes, rename

Arrays = Mapping[str, npt.NDArray[Any]]

LONGEST = 1 << 16
"""Elements of an input with one axis up to which sizes are computed from them."""


@dataclass(frozen=True)
class Draft:
    """The nodes of a graph in order, and its constants by name. Initial values of optional inputs are no
    constants: they stay in the graph's skeleton."""

    graph: Graph
    nodes: Sequence[onnx.NodeProto]
    constants: Arrays

    @classmethod
    def of(cls, graph: Graph) -> Draft:
        fed = set(graph.input_names)
        inside = {i.name: i for i in graph.skeleton.graph.initializer}
        constants = {
            name: graph.weights[name] if name in graph.weights else tensor_array(proto)
            for name, proto in inside.items()
            if name not in fed
        }
        return cls(graph, list(graph.skeleton.graph.node), constants)

    def check(self) -> None:
        """Raise NetError for nodes whose inputs or attributes ONNX does not allow."""
        try:
            _inferred(self._skeleton(), check_type=True, strict_mode=True)
        except (onnx.shape_inference.InferenceError, ValueError) as error:
            raise NetError(f"no valid ONNX: {' '.join(str(error).split())}") from None

    def finished(self) -> Graph:
        """The graph again, without nodes and constants that no output needs, with all values declared."""
        skeleton = self._skeleton()
        outside = [i.name for i in skeleton.graph.initializer if is_outside(i)]
        arrays = {**self.graph.weights, **self.constants}
        weights = {name: arrays[name] for name in outside}
        inferred = _inferred(skeleton)
        named = {i.name for i in skeleton.graph.value_info}
        skeleton.graph.value_info.extend(i for i in inferred.graph.value_info if i.name not in named)
        return replace(self.graph, skeleton=skeleton, weights=weights)

    def _skeleton(self) -> onnx.ModelProto:
        skeleton = onnx.ModelProto()
        skeleton.CopyFrom(self.graph.skeleton)
        graph = skeleton.graph
        nodes, used = needed_nodes(self.nodes, [o.name for o in graph.output])
        fed = set(self.graph.input_names)
        optional = [i for i in graph.initializer if i.name in fed]
        protos, _ = initializers({name: a for name, a in self.constants.items() if name in used})
        made = {name for node in nodes for name in node.output}
        infos = [i for i in graph.value_info if i.name in made]
        for content in (graph.node, graph.initializer, graph.value_info):
            del content[:]
        graph.node.extend(nodes)
        graph.initializer.extend([*protos, *optional])
        graph.value_info.extend(infos)
        return skeleton

    @cached_property
    def _infos(self) -> Mapping[str, onnx.ValueInfoProto]:
        inferred = _inferred(self._skeleton()).graph
        return {i.name: i for i in [*inferred.value_info, *inferred.input, *inferred.output]}

    def dims(self, name: str) -> Dims | None:
        """The sizes of a tensor, None where they are free; None for a tensor of unknown rank."""
        if name in self.constants:
            return self.constants[name].shape
        return declared_dims(self._infos[name]) if name in self._infos else None

    def dtype(self, name: str) -> np.dtype[Any] | None:
        if name in self.constants:
            return self.constants[name].dtype
        return declared_dtype(self._infos[name]) if name in self._infos else None

    @property
    def opset(self) -> int:
        """The version of ONNX's own operators."""
        versions = (o.version for o in self.graph.skeleton.opset_import if o.domain in ("", "ai.onnx"))
        return next(versions, 0)

    @cached_property
    def producers(self) -> Mapping[str, onnx.NodeProto]:
        return {output: node for node in self.nodes for output in node.output}

    @cached_property
    def readers(self) -> Mapping[str, Sequence[onnx.NodeProto]]:
        """The nodes that read each tensor, one entry for each time."""
        found: dict[str, list[onnx.NodeProto]] = {}
        for node in self.nodes:
            for name in node.input:
                found.setdefault(name, []).append(node)
        return found

    @cached_property
    def outputs(self) -> frozenset[str]:
        return frozenset(self.graph.output_names)

    def only_reader(self, name: str) -> onnx.NodeProto | None:
        """The one node that reads a tensor, which is no output of the graph; None if there are others."""
        readers = self.readers.get(name, ())
        return readers[0] if len(readers) == 1 and name not in self.outputs else None


def _inferred(model: onnx.ModelProto, **how: bool) -> onnx.ModelProto:
    """The model with the shapes that follow from its inputs'. Where sizes are computed from tensors, ONNX
    notes each element of an input with one axis: that is left out where there are many."""
    sizes = [declared_dims(info) or () for info in model.graph.input]
    long = any(len(dims) == 1 and (dims[0] or 0) > LONGEST for dims in sizes)
    return onnx.shape_inference.infer_shapes(model, data_prop=not long, **how)


def layer_of(node: onnx.NodeProto) -> str:
    """The Caffe layer that a node was made for: names of nodes begin with it."""
    return node.name.rpartition("/")[0] or node.name


@dataclass(frozen=True)
class Place:
    """A node of a draft, and the builder that takes what shall stand for it."""

    draft: Draft
    node: onnx.NodeProto
    g: GraphBuilder = field(default_factory=GraphBuilder)

    @cached_property
    def attributes(self) -> Mapping[str, Any]:
        return attributes(self.node)

    def array(self, index: int) -> npt.NDArray[Any] | None:
        """An input that is a constant."""
        name = self.input(index)
        return self.draft.constants.get(name)

    def input(self, index: int) -> str:
        return self.node.input[index] if index < len(self.node.input) else ""

    def dims(self, index: int) -> Dims | None:
        return self.draft.dims(self.input(index)) if self.input(index) else None

    def shape(self, index: int) -> Shape | None:
        """The sizes of an input, None unless all of them are known."""
        return _known(self.dims(index))

    def out_dims(self) -> Dims | None:
        return self.draft.dims(self.node.output[0])

    def out_shape(self) -> Shape | None:
        """The sizes of the first output, None unless all of them are known."""
        return _known(self.out_dims())

    def producer(self, index: int) -> Place | None:
        made = self.draft.producers.get(self.input(index))
        return None if made is None else replace(self, node=made)

    def again(self, *inputs: str, **changed: Any) -> tuple[str, ...]:
        """The node once more, with other inputs (none: its own) and changed attributes; None leaves one
        out."""
        merged = {k: v for k, v in {**self.attributes, **changed}.items() if v is not None}
        own = inputs or tuple(self.node.input)
        return self.g.ops(self.node.op_type, *own, outputs=len(self.node.output), **merged)


def made_by(place: Place, index: int, op_type: str) -> Place | None:
    """The node of this operator that makes an input of a node."""
    made = place.producer(index)
    return made if made is not None and made.node.op_type == op_type else None


def _known(dims: Dims | None) -> Shape | None:
    known = tuple(d for d in dims or () if d is not None)
    return None if dims is None or len(known) != len(dims) else known


Rule = Callable[[Place], Sequence[str] | None]
"""What stands for a node: adds nodes to the place's builder and returns the tensors that replace the node's
outputs. None leaves the node as it is. A rule only looks; it changes nothing but the builder."""


def rewrite(draft: Draft, op_type: str, rule: Rule) -> Draft:
    """The draft with a rule applied to every node of an operator ("" for all nodes)."""
    if not any(op_type in ("", node.op_type) for node in draft.nodes):
        return draft
    g = _builder(draft)
    nodes: list[onnx.NodeProto] = []
    names: dict[str, str] = {}  # tensors that others replace
    changed = False
    for node in draft.nodes:
        stand_in = None
        if op_type in ("", node.op_type) and not node.domain:
            with g.scope(layer_of(node)):
                stand_in = rule(Place(draft, node, g))
        if stand_in is None:
            nodes.append(node)
            continue
        changed = True
        nodes.extend(g.nodes)
        g.nodes.clear()
        names.update(zip(node.output, stand_in, strict=True))
    if not changed:
        return draft
    return _renamed(replace(draft, nodes=nodes, constants={**draft.constants, **g.constants}), names)


def _builder(draft: Draft) -> GraphBuilder:
    g = GraphBuilder()
    for name in [
        *draft.graph.input_names,
        *draft.constants,
        *draft.producers,
        *(node.name for node in draft.nodes),
    ]:
        g.reserve(name)
    return g


def _renamed(draft: Draft, names: Mapping[str, str]) -> Draft:
    """The draft with readers of old tensors led to their successors, and outputs made under their names."""
    final = {old: _last(names, old) for old in names}
    nodes = [_reading(node, final) for node in draft.nodes]
    outputs = [(final[name], name) for name in draft.graph.output_names if name in final]
    kept_names = {name for name in draft.graph.output_names if name not in final}
    wanted = [pair for pair in outputs if pair[0] not in kept_names]
    aliases = [pair for pair in outputs if pair[0] in kept_names]
    whole = [*rename(nodes, wanted), *rename([], aliases)]
    return replace(draft, nodes=needed_nodes(whole, draft.graph.output_names)[0])


def _reading(node: onnx.NodeProto, names: Mapping[str, str]) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.input[:] = [names.get(name, name) for name in node.input]
    return copy


def _last(names: Mapping[str, str], name: str) -> str:
    while name in names:
        name = names[name]
    return name
