"""Graphs in older and newer operator sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from drafts import Build, assert_same, attributes_of, draft, noise, operators
from golden_suite import cases
from net_files import image, layer, net_of

from vggrepro.emit import newest_opset
from vggrepro.errors import UnsupportedError
from vggrepro.graph.forward import build_deployed, build_forward, to_onnx
from vggrepro.graph.targets.convert import Deployment
from vggrepro.graph.targets.opsets import OLDEST, in_opset
from vggrepro.runtime.session import Session
from vggrepro.verify.reference_case import ReferenceCase

X = noise(2, 3, 5, 7)
OLDER: dict[str, tuple[Build, tuple[int, ...] | None]] = {
    "ReduceMean": (lambda g: g.op("ReduceMean", "x", g.ints([1, -1])), (2, 1, 5, 1)),
    "ReduceMax": (lambda g: g.op("ReduceMax", "x"), (1, 1, 1, 1)),
    "Pad": (lambda g: g.op("Pad", "x", g.ints([1, 0, 2, 3]), g.const(9), g.ints([-1, 1])), (2, 6, 5, 10)),
    "Shape": (
        lambda g: g.op("Add", "x", g.op("Cast", g.op("Shape", g.op("Abs", "x"), start=2, end=3), to=1)),
        (2, 3, 5, 7),
    ),
    "Split": (lambda g: g.op("Add", *g.ops("Split", "x", outputs=2, axis=0, num_outputs=2)), (1, 3, 5, 7)),
    "Resize sizes": (
        lambda g: g.op("Resize", "x", "", "", g.ints([4, 9]), axes=[2, 3], mode="linear"),
        (2, 3, 4, 9),
    ),
    "Resize scales": (
        lambda g: g.op("Resize", "x", "", g.const([2, 3]), axes=[2, 3], mode="nearest"),
        (2, 3, 10, 21),
    ),
    "Resize computed sizes": (
        lambda g: g.op(
            "Resize", "x", "", "", g.op("Shape", g.op("Abs", "x"), start=2), axes=[2, 3], mode="linear"
        ),
        (2, 3, 5, 7),
    ),
    "AveragePool": (
        lambda g: g.op("AveragePool", "x", kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 1, 1]),
        (2, 3, 3, 4),
    ),
}


@pytest.mark.parametrize("name", OLDER)
def test_older_sets_give_the_same(name: str) -> None:
    build, y = OLDER[name]
    before = draft(build, y=y)
    after = in_opset(before, OLDEST)
    onnx.checker.check_model(after.finished().to_model(), full_check=True)
    assert [o.version for o in after.graph.skeleton.opset_import] == [OLDEST]
    assert_same(before, after, X)


@pytest.mark.parametrize("resized", ["height: 8 width: 3", "zoom_factor: 2"])
def test_free_sizes_of_a_resize(resized: str, tmp_path: Path) -> None:
    inside = f"interp_param {{ {resized} }}"
    net = net_of(tmp_path, image(1, 2, 5, 7) + layer("y", "Interp", "data", more=inside))
    graph = build_deployed(net, Deployment(opset=OLDEST))
    graph.check()
    x = noise(3, *net.inputs["data"][1:])
    (want,) = Session(build_forward(net)).run({"data": x}).values()
    (got,) = Session(graph).run({"data": x}).values()
    np.testing.assert_allclose(got, want, rtol=1e-6)


def test_padding_at_both_ends_stays_in_the_average() -> None:
    same = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}
    d = in_opset(draft(lambda g: g.op("AveragePool", "x", **same)), OLDEST)
    assert operators(d) == ["AveragePool"]
    assert attributes_of(d, "AveragePool")["pads"] == [1, 1, 1, 1]


def test_a_maximum_over_whole_planes() -> None:
    before = draft(lambda g: g.op("GlobalMaxPool", "x"), (2, 3, 5, 7), (2, 3, 1, 1))
    after = in_opset(before, 17)
    assert operators(after) == ["MaxPool"]
    assert_same(before, after, noise(2, 3, 5, 7))
    free = draft(lambda g: g.op("GlobalMaxPool", "x"), (2, 3, None, 7), (2, 3, 1, 1))
    assert operators(in_opset(free, 17)) == operators(in_opset(before, 18)) == ["GlobalMaxPool"]


@pytest.mark.parametrize("operands", [2, 3])
def test_a_matrix_product_has_three_operands(operands: int) -> None:
    inputs = [noise(7, 4), noise(4)][: operands - 1]
    before = draft(lambda g: g.op("Gemm", "x", *map(g.const, inputs)), (3, 7), (3, 4))
    after = in_opset(before, 17)
    (gemm,) = after.nodes
    assert len(gemm.input) == 3
    assert_same(before, after, noise(3, 7))
    (newer,) = in_opset(before, 18).nodes
    assert len(newer.input) == operands


@pytest.mark.parametrize("opset", [OLDEST - 1, newest_opset() + 1])
def test_sets_that_are_not_there(opset: int) -> None:
    with pytest.raises(UnsupportedError, match=f"opset {opset}: expected {OLDEST} to {newest_opset()}"):
        in_opset(draft(lambda g: g.op("Abs", "x")), opset)


@pytest.mark.parametrize(("opset", "ir"), [(13, 7), (14, 7), (15, 8), (18, 8), (20, 9), (21, 10), (23, 11)])
def test_the_file_format_follows(opset: int, ir: int) -> None:
    if opset > newest_opset():
        pytest.skip(f"this onnx knows operator sets up to {newest_opset()}")
    d = draft(lambda g: g.op("Abs", "x"))
    assert in_opset(d, opset).graph.skeleton.ir_version == ir
    assert in_opset(d, 13, 7).graph.skeleton.ir_version == 7
    with pytest.raises(UnsupportedError, match="IR version 6: expected 7 to"):
        in_opset(d, 13, 6)


def test_an_operator_that_a_set_lacks_is_refused_by_name() -> None:
    def scattered(g):
        return g.op(
            "ScatterElements", "x", g.ints(np.zeros((1, 1, 1, 1))), g.const([[[[1.0]]]]), reduction="add"
        )

    with pytest.raises(
        UnsupportedError, match="layer 'layer': attribute reduction of operator ScatterElements is not in"
    ):
        in_opset(draft(scattered), 13)
    with pytest.raises(UnsupportedError, match="layer 'layer': operator Mish is not in opset 17"):
        in_opset(draft(lambda g: g.op("Mish", "x")), 17)


SOME = [c for c in cases("net") if c.folder.name in ("fuzz_12", "fuzz_23", "cifar_like", "googlenet_like")]


@pytest.mark.parametrize("opset", [13, 17, 21])
@pytest.mark.parametrize("case", SOME, ids=lambda c: c.folder.name)
def test_nets_in_every_set(case: ReferenceCase, opset: int) -> None:
    graph = build_deployed(case.load(), Deployment(opset=opset))
    graph.check()
    got = Session(graph, threads=1).run(case.arrays("in"))
    assert all(case.compare(f"out:{blob}", got[graph.blobs[blob]]).passed for blob in case.arrays("out"))


def test_the_model_says_its_versions(tmp_path: Path) -> None:
    net = net_of(tmp_path, image(2, 3) + layer("a", "AbsVal", "data"))
    model = to_onnx(net, opset=13, ir_version=7)
    assert (model.opset_import[0].version, model.ir_version) == (13, 7)
