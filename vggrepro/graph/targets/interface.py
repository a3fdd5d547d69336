"""What a graph takes and returns, as a target needs it: names, ranks, and no input that nothing reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import onnx

from vggrepro.emit import GraphBuilder, declared_dims, declared_dtype, tensor_info
from vggrepro.graph.model import Graph
from vggrepro.graph.nodes import rename
from vggrepro.graph.targets.draft import Draft, Place, rewrite


def with_axes(draft: Draft) -> Draft:
    """The draft with an axis of size 1 for every tensor and every output that has none."""
    one = rewrite(draft, "Reshape", _one_axis)
    skeleton = _copy(one.graph)
    for info in skeleton.graph.output:
        if declared_dims(info) == ():
            info.CopyFrom(tensor_info(info.name, [1], declared_dtype(info)))
    return replace(one, graph=replace(one.graph, skeleton=skeleton))


def _one_axis(place: Place) -> Sequence[str] | None:
    if place.out_shape() != ():
        return None
    return [place.g.op("Reshape", place.input(0), place.g.ints([1]))]


def without_unread_inputs(graph: Graph) -> Graph:
    """The graph without the inputs that no node reads, where Caffe asks for no more than their sizes."""
    skeleton = _copy(graph)
    content = skeleton.graph
    read = {name for node in content.node for name in node.input} | {o.name for o in content.output}
    inputs = [i for i in content.input if i.name in read]
    unread = {i.name for i in content.input} - read
    optional = [i for i in content.initializer if i.name not in unread]
    for entries in (content.input, content.initializer):
        del entries[:]
    content.input.extend(inputs)
    content.initializer.extend(optional)
    return replace(graph, skeleton=skeleton)


def as_onnx_operators(graph: Graph, domain: str) -> Graph:
    """The graph with a domain's operators among those of ONNX, where a runtime looks for its own ones."""
    skeleton = _copy(graph)
    for node in skeleton.graph.node:
        if node.domain == domain:
            node.domain = ""
    kept = [entry for entry in skeleton.opset_import if entry.domain != domain]
    del skeleton.opset_import[:]
    skeleton.opset_import.extend(kept)
    return replace(graph, skeleton=skeleton)


def without_characters(graph: Graph, characters: str) -> Graph:
    """The graph with ``_`` for each of these characters in the names of outputs."""
    table = str.maketrans(dict.fromkeys(characters, "_"))
    g = GraphBuilder()
    for name in [*graph.input_names, *graph.output_names]:
        g.reserve(name)
    names = {name: name.translate(table) for name in graph.output_names}
    names = {old: g.fresh(new) for old, new in names.items() if old != new}
    skeleton = _copy(graph)
    nodes = rename(skeleton.graph.node, names.items())
    del skeleton.graph.node[:]
    skeleton.graph.node.extend(nodes)
    for info in skeleton.graph.output:
        info.name = names.get(info.name, info.name)
    return replace(
        graph, skeleton=skeleton, blobs={blob: names.get(name, name) for blob, name in graph.blobs.items()}
    )


def without_inner_names(graph: Graph) -> Graph:
    """The graph in which no tensor bears the name of a blob that is no output: ``inner:`` stands in front."""
    skeleton = _copy(graph)
    content, outputs = skeleton.graph, graph.output_names
    g = GraphBuilder()
    for name in [*graph.input_names, *outputs, *(i.name for i in content.initializer)]:
        g.reserve(name)
    made = [name for node in content.node for name in node.output if name and name not in outputs]
    names = {name: g.fresh(f"inner:{name}") for name in made}
    nodes = rename(content.node, names.items())
    del content.node[:]
    content.node.extend(nodes)
    for info in content.value_info:
        info.name = names.get(info.name, info.name)
    return replace(graph, skeleton=skeleton)


def _copy(graph: Graph) -> onnx.ModelProto:
    skeleton = onnx.ModelProto()
    skeleton.CopyFrom(graph.skeleton)
    return skeleton
