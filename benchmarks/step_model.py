"""What a graph moves and computes, and how long a GPU needs for it at least (a roofline model)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import onnx

from vggrepro.graph.model import Graph

FREE = {"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Shape"}
"""Operators that move nothing."""

READ_IN_PART = {"Slice", "Split", "Gather"}
"""Operators that read no more than they write."""

LAUNCH = 2.5e-6
"""Seconds that a kernel takes whatever it does."""


@dataclass(frozen=True)
class Device:
    """A GPU's sustained speed: bytes and floating point operations a second."""

    name: str
    bandwidth: float
    flops: float


H100 = {"fp32": Device("H100", 2.6e12, 40e12), "tf32": Device("H100", 2.6e12, 200e12)}
"""Estimates, nothing measured."""


@dataclass(frozen=True)
class Cost:
    """Of a graph: bytes moved, floating point operations, and seconds by the model."""

    bytes: float
    flops: float
    seconds: float


def cost_of(graph: Graph, device: Device) -> Cost:
    """The sum over the nodes of a graph of fixed sizes: each takes as long as its bytes or its operations,
    whichever is longer, and its launch."""
    moved = computed = seconds = 0.0
    for node_bytes, node_flops in _nodes(graph):
        moved, computed = moved + node_bytes, computed + node_flops
        seconds += max(node_bytes / device.bandwidth, node_flops / device.flops) + LAUNCH
    return Cost(moved, computed, seconds)


def _nodes(graph: Graph) -> Iterator[tuple[float, float]]:
    inferred = onnx.shape_inference.infer_shapes(graph.skeleton).graph
    infos = [*inferred.value_info, *inferred.input, *inferred.output]
    sizes = {i.name: [d.dim_value for d in i.type.tensor_type.shape.dim] for i in infos}
    sizes |= {t.name: list(t.dims) for t in inferred.initializer}
    widths = {i.name: 1 if i.type.tensor_type.elem_type in (2, 9) else 4 for i in infos}
    for node in inferred.node:
        if node.op_type in FREE:
            continue
        read = [name for name in node.input if name in sizes]
        out = sum(widths.get(name, 4) * prod(sizes.get(name, [0])) for name in node.output)
        into = out if node.op_type in READ_IN_PART else sum(widths.get(n, 4) * prod(sizes[n]) for n in read)
        first = sizes.get(node.output[0], [0])
        yield into + out, _flops(node, [sizes[name] for name in read], first)


def _flops(node: onnx.NodeProto, inputs: list[list[int]], out: list[int]) -> float:
    if node.op_type == "Conv":
        return 2.0 * prod(out) * prod(inputs[1][1:])
    if node.op_type == "ConvTranspose":
        return 2.0 * prod(inputs[0]) * prod(inputs[1][1:])
    if node.op_type == "MatMul":
        return 2.0 * prod(out) * inputs[0][-1]
    if node.op_type == "Gemm":
        return 2.0 * prod(inputs[0]) * out[-1]
    return 0.0
