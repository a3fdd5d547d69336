"""CompactBilinear: against sums of products, pair by pair, its reference and central differences."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from shape_cases import few, seeds, values

from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.graph.forward import build_deployed
from vggrepro.graph.reference import reference_forward
from vggrepro.graph.targets.convert import Deployment
from vggrepro.layers.compact_bilinear import CompactBilinear
from vggrepro.net import Net, load_net
from vggrepro.verify.runtimes.jobs import Job, run_jobs
from vggrepro.verify.runtimes.written import installed


def layer_of(fields: str) -> CompactBilinear:
    layer = parse(f'type: "CompactBilinear" compact_bilinear_param {{ {fields} }}')
    assert isinstance(layer, CompactBilinear)
    return layer


def sums(layer: CompactBilinear, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    first, second = layer.sketches([a.shape[1], b.shape[1]])
    top = np.zeros((len(a), layer.num_output, *a.shape[2:]))
    for i, (h, s) in enumerate(zip(*first, strict=True)):
        for j, (k, t) in enumerate(zip(*second, strict=True)):
            top[:, (h + k) % layer.num_output] += s * t * a[:, i].astype(float) * b[:, j]
    return top * layer.num_output


@few
@given(
    st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3)),
    st.integers(1, 5),
    st.sampled_from([1, 2, 3, 6, 7, 16, 20]),
    st.booleans(),
    st.booleans(),
    seeds,
)
def test_compact_bilinear(
    shape: tuple[int, int, int, int], others: int, outputs: int, sum_pool: bool, free: bool, seed: int
) -> None:
    a, b = values(seed, shape), values(seed + 1, (shape[0], others, *shape[2:]))
    layer = layer_of(f"num_output: {outputs} sum_pool: {str(sum_pool).lower()}")
    dims = [tuple(None if free and axis != 1 else n for axis, n in enumerate(x.shape)) for x in (a, b)]
    (top,) = check_forward(layer, [a, b], dims=dims, rtol=1e-4, atol=1e-4)
    expected = sums(layer, a, b)
    assert_allclose(top, expected.sum((2, 3), keepdims=True) if sum_pool else expected, rtol=1e-4, atol=1e-3)
    check_gradient(layer, [a, b])


def test_tables_are_the_c_library_s() -> None:
    (first, second) = layer_of("num_output: 8").sketches([2, 1])
    # rand(): 1804289383, 846930886, 1681692777, 1714636915, 1957747793, 424238335
    assert first.places.tolist() == [7, 6] and first.signs.tolist() == [1, 1]
    assert second.places.tolist() == [1] and second.signs.tolist() == [1]


def test_sums_over_all_places_unless_told_otherwise() -> None:
    assert layer_of("num_output: 44").out_shapes([(2, 3, 6, 5), (2, 5, 6, 5)]) == ((2, 44, 1, 1),)
    assert layer_of("num_output: 44 sum_pool: false").out_shapes([(2, 3, 6, 5), (2, 5, 6, 5)]) == (
        (2, 44, 6, 5),
    )


def net(folder: Path, fields: str) -> Net:
    path = folder / "net.prototxt"
    path.write_text(
        'input: "a" input_shape { dim: 2 dim: 20 dim: 5 dim: 4 }'
        ' input: "b" input_shape { dim: 2 dim: 9 dim: 5 dim: 4 }\n'
        f'layer {{ name: "l" type: "CompactBilinear" bottom: "a" bottom: "b" top: "y"'
        f" compact_bilinear_param {{ {fields} }} }}"
    )
    return load_net(path)


@pytest.mark.skipif(cv2.__version__ < "5", reason="OpenCV 5 is not installed")
@pytest.mark.parametrize("fields", ["num_output: 12", "num_output: 256 sum_pool: false"])
def test_in_opencv_5(fields: str, tmp_path: Path) -> None:
    pooled = net(tmp_path, fields)
    inputs = {"a": values(1, (2, 20, 5, 4)), "b": values(2, (2, 9, 5, 4))}
    build_deployed(pooled, Deployment("opencv5")).save(tmp_path / "m.onnx")
    (reply,) = run_jobs(installed("opencv"), [Job(tmp_path / "m.onnx", inputs, ["y"])]).replies
    assert reply.error == ""
    want = reference_forward(pooled, inputs)["y"]
    assert_allclose(reply.arrays["y"].reshape(want.shape), want, rtol=1e-4, atol=1e-3)


def test_for_tensorrt(tmp_path: Path) -> None:
    """Its operator set knows no sums in ScatterElements."""
    graph = build_deployed(net(tmp_path, "num_output: 12"), Deployment("tensorrt")).to_model().graph
    assert "ScatterElements" not in {node.op_type for node in graph.node}


def test_refusals() -> None:
    with pytest.raises(NetError, match="num_output should be specified"):
        layer_of("")
    with pytest.raises(UnsupportedError, match="num_output 8191: a product of two numbers up to 4096"):
        layer_of("num_output: 8191")
    layer = layer_of("num_output: 4")
    with pytest.raises(ShapeError, match="only support 4 dim blobs"):
        layer.out_shapes([(2, 3), (2, 5)])
    with pytest.raises(ShapeError, match="not compatible but for channels"):
        layer.out_shapes([(2, 3, 4, 4), (2, 3, 4, 5)])
