"""MatWrite, FLOWriter: consumed, whatever their own fields say."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import check_forward, parse, run_gradient
from shape_cases import values

from vggrepro import load_net, to_onnx

HEAD = """layer { name: "x" type: "Input" top: "x" top: "label" input_param { shape { dim: 2 dim: 3 } } }
    layer { name: "a" type: "AbsVal" bottom: "x" top: "a" }
    layer { name: "s" type: "Silence" bottom: "label" }
"""


@pytest.mark.parametrize("kind", ["MatWrite", "FLOWriter"])
def test_a_sink_without_gradients(kind: str) -> None:
    layer, x = parse(f'type: "{kind}"'), values(0, (2, 3))
    assert check_forward(layer, [x]) == []
    assert run_gradient(layer, [x], [], []) == [None]


@pytest.mark.parametrize(
    "text",
    [
        'type: "MatWrite" mat_write_param { prefix: "fc8/" source: "id.txt" strip: 0 period: 1 }',
        'type: "FLOWriter" writer_param { folder: "out" suffix: "" scale: 1.0 }',
    ],
)
def test_what_is_written_is_what_the_graph_returns(tmp_path: Path, text: str) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(HEAD + f'layer {{ name: "w" {text} bottom: "a" }}')
    net = load_net(path)
    assert not net.outputs
    assert [o.name for o in to_onnx(net).graph.output] == ["a"]


def test_the_type_of_2014(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(
        """input: "x" input_dim: 1 input_dim: 1 input_dim: 2 input_dim: 3
        layers { name: "a" type: ABSVAL bottom: "x" top: "a" }
        layers { name: "w" type: MAT_WRITE mat_write_param { prefix: "p" period: 1 } bottom: "a" }"""
    )
    assert [layer.message.type for layer in load_net(path).layers] == ["Input", "AbsVal", "MatWrite"]
