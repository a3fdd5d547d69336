"""Names, ranks and inputs of graphs for other runtimes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from drafts import draft, noise, result
from net_files import image, layer, net_of

from vggrepro.graph.forward import build_forward
from vggrepro.graph.targets.draft import Draft
from vggrepro.graph.targets.fold import fold_constants
from vggrepro.graph.targets.interface import (
    with_axes,
    without_characters,
    without_inner_names,
    without_unread_inputs,
)
from vggrepro.runtime.session import Session


def test_scalars_get_an_axis() -> None:
    d = draft(lambda g: g.op("Reshape", g.op("ReduceSum", "x"), g.ints([])), y=())
    assert result(with_axes(d), noise(2, 3, 5, 7)).shape == (1,)


def test_inputs_that_nothing_reads_go(tmp_path: Path) -> None:
    text = image(1, 2, 6, 6) + image(1, 2, 3, 3, name="size") + layer("c", "Crop", "data size")
    graph = fold_constants(Draft.of(build_forward(net_of(tmp_path, text), fixed=True))).finished()
    assert graph.input_names == ["data", "size"]
    alone = without_unread_inputs(graph)
    assert alone.input_names == ["data"]
    x = noise(1, 2, 6, 6)
    np.testing.assert_array_equal(Session(alone, threads=1).run({"data": x})["c"], x[:, :, :3, :3])


def test_names_without_a_character(tmp_path: Path) -> None:
    net = net_of(tmp_path, image(2, 3) + layer("a", "TanH", "data", "data"))
    graph = without_characters(build_forward(net, outputs=["data"]), "#")
    assert graph.blobs == {"data": "data_a"}
    assert graph.output_names == ["data_a"]
    x = noise(2, 3)
    np.testing.assert_allclose(Session(graph, threads=1).run({"data": x})["data_a"], np.tanh(x), rtol=1e-6)


def test_only_outputs_bear_the_names_of_blobs(tmp_path: Path) -> None:
    text = (
        image(2, 3) + layer("a", "TanH", "data") + layer("b", "AbsVal", "a") + layer("inner:a", "TanH", "b")
    )
    graph = without_inner_names(Draft.of(build_forward(net_of(tmp_path, text))).finished())
    content = graph.skeleton.graph
    made = [name for node in content.node for name in node.output]
    assert made == ["inner:a_2", "inner:b", "inner:a"]
    assert {info.name for info in content.value_info} <= set(made)
    x = noise(2, 3)
    want = np.tanh(np.abs(np.tanh(x)))
    np.testing.assert_allclose(Session(graph, threads=1).run({"data": x})["inner:a"], want, rtol=1e-6)
