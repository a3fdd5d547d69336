"""The card of a published model tells its licence and its published errors."""

from vggrepro.cli.model_card import write_card
from vggrepro.graph.forward import build_forward
from vggrepro.net import load_net
from vggrepro.paper.known_models import zoo_model

NET = """name: "a|b" input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8
layer { name: "relu" type: "ReLU" bottom: "data" top: "relu" }"""


def test_a_published_model(tmp_path):
    (tmp_path / "net.prototxt").write_text(NET)
    graph = build_forward(load_net(tmp_path / "net.prototxt"))
    graph.save(tmp_path / "m.onnx")
    write_card(tmp_path / "m.md", [tmp_path / "m.onnx"], graph, "", [zoo_model("bvlc_googlenet")])
    text = (tmp_path / "m.md").read_text()
    assert text.startswith("# a\\|b\n")
    assert "- licence: unrestricted use (BVLC model licence)" in text
    assert "| 31.3 | 11.1 | " in text and "| ILSVRC2012 val; centre crop (256x256 images) |" in text
    assert "- as published: warp 256x256, centre crop 224, mean 104,117,123" in text
    assert "## Measured" not in text
