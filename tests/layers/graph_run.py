"""Running the nodes that a rule has added to a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnxruntime as ort
from onnx import helper

from vggrepro import emit
from vggrepro.emit import GraphBuilder


def run_nodes(g: GraphBuilder, feeds: Mapping[str, np.ndarray], outputs: Sequence[str]) -> list[np.ndarray]:
    """The values of ``outputs``, with ``feeds`` as the inputs of the graph."""
    names = [g.op("Identity", output) for output in outputs]
    model = emit.model(
        "rule",
        g.nodes,
        [emit.tensor_info(name, array.shape, array.dtype) for name, array in feeds.items()],
        [helper.make_empty_tensor_value_info(name) for name in names],
        [emit.tensor(name, array) for name, array in g.constants.items()],
        {},
    )
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    values: list[np.ndarray] = session.run(names, dict(feeds))
    return values
