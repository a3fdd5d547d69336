"""The layout of a net: nothing overlaps, everything is below what it reads, every reading has its line."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
from golden_suite import ROOT

from vggrepro.net import Net, load_net
from vggrepro.pictures.net_layout import CHARACTER, LayerBox, net_layout

NETS = ["googlenet_like_train", "resnet_like", "vgg_a", "lenet_test"]


def golden(name: str) -> Net:
    return load_net(ROOT / "nets" / name / "net.prototxt", fill=False)


def apart(one: LayerBox, other: LayerBox) -> bool:
    return (
        one.left + one.width <= other.left
        or other.left + other.width <= one.left
        or one.top + one.height <= other.top
        or other.top + other.height <= one.top
    )


@pytest.mark.parametrize("name", NETS)
def test_boxes_and_lines(name: str) -> None:
    net = golden(name)
    layout = net_layout(net)
    assert [box.name for box in layout.boxes] == [layer.name for layer in net.layers]
    assert all(apart(one, other) for one, other in combinations(layout.boxes, 2))
    for box in layout.boxes:
        assert box.left >= 0 and box.left + box.width <= layout.width
        assert box.top >= 0 and box.top + box.height <= layout.height
        assert max(map(len, box.lines)) * CHARACTER <= box.width
    makers = {top: number for number, layer in enumerate(net.layers) for top in layer.tops}
    expected = {(makers[b], number) for number, layer in enumerate(net.layers) for b in layer.bottoms}
    assert {(line.source, line.target) for line in layout.lines} == expected


@pytest.mark.parametrize("name", NETS)
def test_lines_go_down_and_past_boxes(name: str) -> None:
    layout = net_layout(golden(name))
    for line in layout.lines:
        source, target = layout.boxes[line.source], layout.boxes[line.target]
        assert line.points[0] == (pytest.approx(source.left + source.width / 2), source.top + source.height)
        assert line.points[-1] == (pytest.approx(target.left + target.width / 2), target.top)
        ys = [y for _, y in line.points]
        assert ys == sorted(ys)
        for x, y in line.points[1:-1]:
            assert not any(
                b.left <= x <= b.left + b.width and b.top <= y <= b.top + b.height for b in layout.boxes
            )


def test_shapes_and_roles() -> None:
    net = golden("googlenet_like_train")
    boxes = {box.name: box for box in net_layout(net).boxes}
    for layer in net.layers:
        shapes = [" x ".join(map(str, net.shapes[top])) or "scalar" for top in layer.tops]
        lines = boxes[layer.name].lines
        assert lines[:2] == (layer.name, layer.message.type)
        assert [line.rpartition(": ")[2] for line in lines[2:]] == shapes
    roles = {role: {box.name for box in boxes.values() if box.role == role} for role in ("input", "loss")}
    assert roles["input"] == {layer.name for layer in net.layers if layer.layer.source}
    assert roles["loss"] == {layer.name for layer in net.layers if layer.layer.loss}


BRANCHES = """
layer { name: "d" type: "Input" top: "d" input_param { shape { dim: 1 dim: 2 dim: 4 dim: 4 } } }
layer { name: "a" type: "ReLU" bottom: "d" top: "a" }
layer { name: "b" type: "Sigmoid" bottom: "d" top: "b" }
layer { name: "c" type: "TanH" bottom: "b" top: "c" }
layer { name: "sum" type: "Eltwise" bottom: "a" bottom: "c" bottom: "d" top: "total" }
"""


def test_branches_stand_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "n.prototxt").write_text(BRANCHES)
    layout = net_layout(load_net(tmp_path / "n.prototxt"))
    d, a, b, c, total = layout.boxes
    assert a.top == b.top > d.top
    assert a.left + a.width < b.left
    assert c.top > b.top
    assert total.top > c.top
    assert total.lines == ("sum", "Eltwise", "total: 1 x 2 x 4 x 4")
    long = next(line for line in layout.lines if (line.source, line.target) == (0, 4))
    assert len(long.points) == 2 + 2 * 2  # past two rows
    assert len(layout.lines) == 6


def test_a_straight_net_is_straight() -> None:
    middles = {round(box.left + box.width / 2, 6) for box in net_layout(golden("vgg_a")).boxes}
    assert len(middles) == 1
