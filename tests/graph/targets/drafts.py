"""Small graphs for tests of rewriting: built by hand, run before and after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.emit import Dims, GraphBuilder, tensor_info
from vggrepro.graph.assembly import assemble_plain
from vggrepro.graph.targets.draft import Draft
from vggrepro.runtime.session import Session

Build = Callable[[GraphBuilder], str]


def draft(build: Build, x: Dims = (2, 3, 5, 7), y: Dims | None = None) -> Draft:
    """A graph from the input ``x`` to the output ``y``, which ``build`` returns; its nodes belong to the
    layer "layer"."""
    g = GraphBuilder()
    for name in ("x", "y"):
        g.reserve(name)
    with g.scope("layer"):
        made = build(g)
    inputs = [tensor_info("x", x, np.float32)]
    outputs = [tensor_info("y", x if y is None else y, np.float32)]
    return Draft.of(assemble_plain("test", g, inputs, outputs, {"y": made}))


def operators(of: Draft) -> list[str]:
    return [node.op_type for node in of.nodes]


def result(of: Draft, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return Session(of.finished(), threads=1).run({"x": x})["y"]


def noise(*shape: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def assert_same(before: Draft, after: Draft, x: npt.NDArray[Any], tolerance: float = 1e-6) -> None:
    np.testing.assert_allclose(result(after, x), result(before, x), rtol=tolerance, atol=tolerance)


def attributes_of(of: Draft, op_type: str) -> Mapping[str, Any]:
    from vggrepro.emit import attributes

    (node,) = (node for node in of.nodes if node.op_type == op_type)
    return attributes(node)
