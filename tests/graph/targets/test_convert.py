"""Whole nets for every target: exact in ONNX Runtime, plain, and the same in every run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from golden_suite import cases

from vggrepro.errors import UnsupportedError
from vggrepro.graph.forward import build_deployed
from vggrepro.graph.targets.convert import Deployment
from vggrepro.graph.targets.table import TARGETS
from vggrepro.net.transforms.fold_batchnorm import fold_batchnorm
from vggrepro.runtime.session import Session
from vggrepro.verify.reference_case import ReferenceCase

NETS = [c for c in cases("net") if c.about["phase"] == "TEST"]
named = {"ids": lambda c: c.folder.name}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("case", NETS, **named)
def test_golden_nets_are_right_in_onnx_runtime(case: ReferenceCase, target: str) -> None:
    """Every form is ONNX, so that ONNX Runtime can judge it too."""
    try:
        graph = build_deployed(case.load(), Deployment(target))
    except UnsupportedError as error:
        assert target in ("opencv4", "tensorrt", "ncnn")
        assert str(error).startswith("layer '")
        return
    graph.check()
    inputs = {name: array for name, array in case.arrays("in").items() if name in graph.input_names}
    got = Session(graph, threads=1).run(inputs)
    for blob, output in graph.blobs.items():
        found = got[output].reshape(case.io[f"out:{blob}"].shape)
        assert case.compare(f"out:{blob}", found).passed


def named_case(name: str) -> ReferenceCase:
    return next(c for c in NETS if c.folder.name == name)


@pytest.mark.parametrize("target", TARGETS)
def test_two_conversions_are_the_same_bytes(target: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        build_deployed(named_case("googlenet_like").load(), Deployment(target)).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def operators(name: str, target: str) -> Counter[str]:
    graph = build_deployed(named_case(name).load(), Deployment(target))
    return Counter(node.op_type for node in graph.skeleton.graph.node)


def test_batch_normalisation_needs_no_node_of_its_own() -> None:
    """The exact form keeps four for each BatchNorm and Scale: less mean, over deviation, times, plus."""
    assert operators("resnet_like", "onnxruntime").total() == 97
    assert operators("resnet_like", "opencv5").total() == 37
    folded = fold_batchnorm(named_case("resnet_like").load())
    assert len(build_deployed(folded, Deployment()).skeleton.graph.node) == 37
    assert operators("densenet_like", "openvino")["Mul"] == operators("densenet_like", "openvino")["Add"]


def test_every_convolution_says_its_kernel_and_every_value_its_shape() -> None:
    graph = build_deployed(named_case("alexnet_like").load(), Deployment()).skeleton.graph
    for node in graph.node:
        if node.op_type == "Conv":
            assert "kernel_shape" in {a.name for a in node.attribute}
    declared = {i.name for i in [*graph.value_info, *graph.output]}
    assert {name for node in graph.node for name in node.output} <= declared


def test_every_pooling_says_its_strides() -> None:
    graph = build_deployed(named_case("cifar_like").load(), Deployment()).skeleton.graph
    poolings = [node for node in graph.node if node.op_type in ("AveragePool", "MaxPool")]
    assert len(poolings) == 5  # three layers, and the means of two LRN within channels
    assert all("strides" in {a.name for a in node.attribute} for node in poolings)


def test_a_net_with_states_keeps_them() -> None:
    case = next(
        c for c in cases("net") if c.about["phase"] == "TRAIN" and c.folder.name == "resnet_like_train"
    )
    graph = build_deployed(case.load(), Deployment())
    graph.check()
    assert set(graph.statistics.values()) <= set(graph.output_names)
