"""Which net is loaded, and how its prototxt is read."""

from __future__ import annotations

from pathlib import Path

from vggrepro.cli.options.fork_options import ForkOptions
from vggrepro.cli.options.net import NetOptions

NET = """
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }
layer { name: "a" type: "ReLU" bottom: "x" top: "a" include { phase: TRAIN } }
layer { name: "b" type: "ReLU" bottom: "x" top: "b" include { stage: "deep" min_level: 2 } }
"""


def test_phase_stage_level_and_shapes(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(NET)
    net = NetOptions(str(path)).load(None, fill=False)
    assert [layer.name for layer in net.layers] == ["in"]
    asked = NetOptions(str(path), "TRAIN", ("deep",), 2, ForkOptions(("x=2,3,9,7",)))
    net = asked.load(None, fill=False)
    assert [layer.name for layer in net.layers][-2:] == ["a", "b"]
    assert net.inputs["x"] == (2, 3, 9, 7)


def test_the_fork_that_a_net_is_for(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(NET + 'layer { name: "bn" type: "BN" bottom: "x" top: "y" }')
    net = NetOptions(str(path), forks=ForkOptions(fork="cuhk")).load(None, fill=False)
    assert net.message.layer[-1].bn_param.HasField("frozen")
