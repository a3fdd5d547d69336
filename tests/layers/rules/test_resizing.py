"""Resizing between Permutes: ONNX Runtime moves the Transposes, and must not reach the Resize."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from graph_run import run_nodes
from harness import parse

from vggrepro.emit import GraphBuilder, Value
from vggrepro.layers.rules.resizing import without_transposes

LAYERS = (
    'type: "Interp" interp_param { height: 12 width: 13 }',
    'type: "Interp" interp_param { zoom_factor: 2 pad_beg: -1 }',
    'type: "ResizeBilinear" resize_bilinear_param { data_format: "NCHW" align_corners: true output_height: 5'
    " output_width: 9 }",
    'type: "ResizeBilinear" resize_bilinear_param { data_format: "NHWC" half_pixel_centers: true'
    " output_height: 5 output_width: 9 }",
    'type: "Accum" bottom: "x" accum_param { size_divisible_by: 8 }',
)


@pytest.mark.parametrize("text", LAYERS)
@pytest.mark.parametrize("free", [(), (0,), (0, 1)])
def test_between_permutes(text: str, free: tuple[int, ...]) -> None:
    layer = parse(text)
    x = np.random.default_rng(0).normal(size=(2, 3, 6, 7)).astype(np.float32)
    fixed = layer.fixed_axes([x.shape])
    dims = tuple(None if axis in free and axis not in fixed else n for axis, n in enumerate(x.shape))
    (expected,) = layer.reference([np.maximum(x, 0).astype(float)], (), ()).tops
    for order in permutations(range(4)):
        g = GraphBuilder()
        inverse = np.argsort(order).tolist()
        inside = g.op("Relu", g.op("Transpose", "x", perm=list(order)))
        (top,) = layer.emit(g, [Value(inside, dims)], (), ()).tops
        back = g.op("Transpose", top, perm=inverse)
        (found,) = run_nodes(g, {"x": x.transpose(inverse)}, [back])
        np.testing.assert_allclose(found.transpose(order), expected, rtol=1e-5, atol=1e-6)


def test_a_wall_stands_only_where_a_transpose_may_come() -> None:
    g = GraphBuilder()
    far = g.op("Conv", g.op("Transpose", "x", perm=[0, 1, 3, 2]), "w")
    assert without_transposes(g, Value(far, (1, 2, 3, 4))) == far
    near = g.op("Add", far, g.op("Transpose", far, perm=[0, 1, 3, 2]))
    assert without_transposes(g, Value(near, (1, 2, 3, 4))) != near
    assert g.nodes[-1].op_type == "Reshape"
