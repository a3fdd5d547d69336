"""Linear resizing in which corners stay corners, and what keeps ONNX Runtime from breaking a Resize behind a
Transpose."""

from __future__ import annotations

import numpy as np

from vggrepro.emit import GraphBuilder, Value
from vggrepro.layers.base import Array
from vggrepro.layers.rules.loss import shaped_like

WALLS = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm", "Reshape", "Flatten"})
"""Operators that ONNX Runtime moves no Transpose across."""


def without_transposes(g: GraphBuilder, x: Value) -> str:
    """A tensor whose values are those of ``x``, (N, C, H, W), and that no Transpose reaches.

    ONNX Runtime (1.21 to 1.32) moves a Transpose behind the operators that follow it, in the hope that
    another undoes it. Behind a Resize with axes it takes the sizes of no axes; behind one with all sizes it
    may ask for a linear resizing of axes for which there is no kernel. Two changes of the shape, which copy
    nothing, are a wall.
    """
    if not _follows_transpose(g, x.name):
        return x.name
    return shaped_like(g, Value(g.op("Flatten", x.name, axis=2), (None, None)), x)


def resized(g: GraphBuilder, x: str, size: str) -> str:
    """A tensor (N, C, H, W) that no Transpose reaches, resized linearly to the height and width ``size``."""
    return g.op(
        "Resize",
        x,
        "",
        "",
        size,
        mode="linear",
        coordinate_transformation_mode="align_corners",
        axes=[2, 3],
    )


def corner_weights(size: int, inner: int) -> Array:
    """How ``size`` elements are made of ``inner`` ones, the first and last ones staying: (size, inner)."""
    at = np.arange(size) * ((inner - 1) / (size - 1) if size > 1 else 0)
    weights: Array = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(inner)))
    return weights


def _follows_transpose(g: GraphBuilder, tensor: str) -> bool:
    makers = {output: node for node in g.nodes for output in node.output}
    pending, seen = [tensor], set[str]()
    while pending:
        node = makers.get(pending.pop())
        if node is None or node.op_type in WALLS:
            continue
        if node.op_type == "Transpose":
            return True
        pending += [name for name in node.input if name not in seen]
        seen.update(node.input)
    return False
