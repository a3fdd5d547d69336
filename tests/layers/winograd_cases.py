"""Maps for the rules of minimal filtering, and what computes their nodes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import onnxruntime as ort
from hypothesis import strategies as st
from onnx import helper

from vggrepro import emit
from vggrepro.emit import Dims, GraphBuilder
from vggrepro.layers.rules.correlation import Correlation
from vggrepro.layers.rules.window import Windows


@st.composite
def maps(draw: st.DrawFn) -> Correlation:
    pad = (draw(st.integers(0, 2)), draw(st.integers(0, 2)))
    sizes = [draw(st.integers(max(3 - 2 * p, 1), 11)) for p in pad]
    images, channels, outputs = (draw(st.integers(1, 4)) for _ in "nck")
    windows = Windows((3, 3), (1, 1), pad, (1, 1))
    tops = [size + 2 * p - 2 for size, p in zip(sizes, pad, strict=True)]
    return Correlation((images, channels, *sizes), (images, outputs, *tops), windows, 1)


def computed(
    g: GraphBuilder,
    result: str,
    feeds: Mapping[str, np.ndarray],
    declared: Mapping[str, Dims] | None = None,
) -> np.ndarray:
    """The tensor ``result`` of a graph that takes ``feeds``, with one thread. ``declared`` are the sizes that
    the graph is told where they are not those of the feeds."""
    dims = {**{name: array.shape for name, array in feeds.items()}, **(declared or {})}
    infos = [emit.tensor_info(name, shape, np.float32) for name, shape in dims.items()]
    constants = [emit.tensor(name, array) for name, array in g.constants.items()]
    model = emit.model("m", g.nodes, infos, [helper.make_empty_tensor_value_info(result)], constants, {})
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    onnx.checker.check_model(model, full_check=True)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return session.run([result], dict(feeds))[0]


def arrays(map_: Correlation, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, dy and the weight."""
    rng = np.random.default_rng(seed)
    shapes = (map_.x, map_.y, (map_.y[1], map_.x[1], 3, 3))
    x, dy, weight = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    return x, dy, weight


def plain(x: np.ndarray, weight: np.ndarray, pad: tuple[int, int]) -> np.ndarray:
    """The convolution of x with stride 1 in float64, tap by tap."""
    padded = np.pad(np.asarray(x, np.float64), [(0, 0), (0, 0), *((p, p) for p in pad)])
    rows, columns = (size - k + 1 for size, k in zip(padded.shape[2:], weight.shape[2:], strict=True))
    return sum(
        np.einsum("nchw,kc->nkhw", padded[:, :, i : i + rows, j : j + columns], weight[:, :, i, j])
        for i, j in np.ndindex(weight.shape[2:])
    )
