"""Lists of nodes: tensors renamed, nodes dropped that no output depends on, ends put last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import onnx

from vggrepro.emit import GraphBuilder


def rename(nodes: Sequence[onnx.NodeProto], wanted: Iterable[tuple[str, str]]) -> list[onnx.NodeProto]:
    """The nodes with tensors renamed: (old, new) pairs. The first new name of a tensor replaces its
    old one; further ones, and names for graph inputs and parameters, become Identity nodes."""
    made = {output for node in nodes for output in node.output}
    renamed: dict[str, str] = {}
    aliases: list[tuple[str, str]] = []
    for old, new in wanted:
        if old == new:
            continue
        if old in made and old not in renamed:
            renamed[old] = new
        else:
            aliases.append((old, new))
    tail = GraphBuilder()
    for old, new in aliases:
        tail.reserve(new)
        tail.op("Identity", renamed.get(old, old))
        tail.nodes[-1].output[0] = new
    return [_renamed(node, renamed) for node in nodes] + tail.nodes


def _renamed(node: onnx.NodeProto, names: Mapping[str, str]) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.input[:] = [names.get(i, i) for i in node.input]
    copy.output[:] = [names.get(o, o) for o in node.output]
    for body in _bodies(copy):
        renamed = [_renamed(inner, names) for inner in body.node]
        del body.node[:]
        body.node.extend(renamed)
    return copy


def needed_nodes(
    nodes: Sequence[onnx.NodeProto], outputs: Iterable[str]
) -> tuple[list[onnx.NodeProto], set[str]]:
    """The nodes that ``outputs`` depend on, in order, and the names of all tensors that these read."""
    used = set(outputs)
    kept = []
    for node in reversed(nodes):
        if used.intersection(node.output):
            used.update(tensors_read(node))
            kept.append(node)
    return kept[::-1], used


def ends_last(nodes: Sequence[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """The nodes, those at the end whose outputs no other node reads, in the opposite order.

    ONNX Runtime takes such nodes from the last one to the first, and computes for each what it needs. So
    after this what can be computed early is, and what it reads is given back early.
    """
    read = set().union(*map(tensors_read, nodes))
    ends = [read.isdisjoint(node.output) for node in nodes]
    return [n for n, end in zip(nodes, ends, strict=True) if not end] + [
        n for n, end in zip(nodes[::-1], ends[::-1], strict=True) if end
    ]


def _bodies(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """The graphs that a node repeats."""
    return [a.g for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]


def tensors_read(node: onnx.NodeProto) -> set[str]:
    """The names of the tensors that a node reads: its inputs, and what its bodies see of the graph around."""
    names = set(node.input)
    for body in _bodies(node):
        made = {i.name for i in body.input} | {i.name for i in body.initializer}
        made.update(*(n.output for n in body.node))
        names.update(set().union(*map(tensors_read, body.node)) - made)
    return names
