"""Every operator that the golden suite's graphs use has a float32 kernel for CUDA.

``cuda_kernels.tsv`` is ONNX Runtime's own list of what its CUDA execution provider implements. An
operator without a kernel would run on the CPU and cost two copies between the devices.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import onnx
import pytest
from golden_suite import cases

from vggrepro.emit import OPSET
from vggrepro.graph.backward import build_gradient
from vggrepro.graph.forward import build_forward
from vggrepro.graph.training_step import build_training_step
from vggrepro.graph.update import RULES, Hyper, accumulate_graph, square_graph, update_graph
from vggrepro.net import load_net
from vggrepro.verify.reference_case import ReferenceCase

EXCEPTIONS: dict[str, str] = {}
"""Operators without a kernel, each with the reason why it is there all the same."""


@lru_cache(maxsize=1)
def kernels() -> dict[str, list[tuple[range, str]]]:
    """For each operator of the default domain the opsets that a kernel covers, and its types."""
    table: dict[str, list[tuple[range, str]]] = {}
    with (Path(__file__).parent / "cuda_kernels.tsv").open() as file:
        rows = csv.DictReader((line for line in file if not line.startswith("#")), delimiter="\t")
        for row in rows:
            if row["domain"] == "ai.onnx":
                table.setdefault(row["op"], []).append((opsets(row["opset"]), row["types"]))
    return table


def opsets(text: str) -> range:
    """``13+``, ``12`` or ``[7, 12]``."""
    first, *last = map(int, re.findall(r"\d+", text))
    if text.endswith("+"):
        return range(first, 1000)
    return range(first, (last[0] if last else first) + 1)


def since(op: str) -> int:
    """The version of an operator that opset 18 means."""
    return onnx.defs.get_schema(op, OPSET).since_version


def nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from nodes(attribute.g)


def missing(model: onnx.ModelProto) -> set[str]:
    return {node.op_type for node in nodes(model.graph) if not has_kernel(node)} - set(EXCEPTIONS)


def has_kernel(node: onnx.NodeProto) -> bool:
    version = since(node.op_type)
    return node.domain == "" and any(
        version in covered and ("float" in re.split(r"[=,;]", types) or not re.search(r"\bfloat", types))
        for covered, types in kernels().get(node.op_type, [])
    )


@pytest.mark.parametrize("case", cases("layer", "net"), ids=lambda c: c.folder.name)
def test_graphs_of_the_suite(case: ReferenceCase) -> None:
    net = case.load()
    models = [build_forward(net).skeleton, build_forward(net, fixed=True).skeleton]
    if case.entry["backward"]:
        models.append(build_gradient(net, inputs=list(case.arrays("din"))).skeleton)
    assert not set().union(*map(missing, models))


@pytest.mark.parametrize("case", cases("train"), ids=lambda c: c.folder.name)
def test_training_steps(case: ReferenceCase) -> None:
    net = load_net(case.folder / "train_net.prototxt", phase="TRAIN")
    assert not missing(build_training_step(net).skeleton)


@pytest.mark.parametrize("solver_type", RULES)
@pytest.mark.parametrize("regularization", ["L1", "L2"])
def test_updates(solver_type: str, regularization: str) -> None:
    hyper = Hyper(momentum=0.9, regularization_type=regularization)
    for graph in (update_graph(solver_type, hyper, decayed=True), accumulate_graph(), square_graph()):
        assert not missing(graph.skeleton)


def test_the_test_can_fail() -> None:
    assert since("Det") and not kernels().get("Det")
    assert has_kernel(onnx.helper.make_node("Relu", ["x"], ["y"]))
    assert not has_kernel(onnx.helper.make_node("Det", ["x"], ["y"]))
    assert not has_kernel(onnx.helper.make_node("BitwiseXor", ["x", "x"], ["y"]))
