"""Caffe's three tools that upgrade files, by Caffe's own results."""

from __future__ import annotations

from pathlib import Path

import pytest
from caffe_nets import caffe
from golden_suite import ROOT

from vggrepro.caffe.messages import SolverParameter
from vggrepro.caffe.text import parse_net, parse_solver

CASES = ROOT / "upgrade"
OLD_NET = 'layers { name: "relu" type: RELU bottom: "a" top: "b" } input: "a" input_dim: 1 input_dim: 2'


def test_a_net(tmp_path: Path) -> None:
    source, output = tmp_path / "old.prototxt", tmp_path / "new.prototxt"
    source.write_text(OLD_NET + " input_dim: 3 input_dim: 4")
    assert caffe("upgrade_net_proto_text", str(source), str(output)) == 0
    net = parse_net(output.read_text(), "new")
    assert [layer.type for layer in net.layer] == ["Input", "ReLU"] and not net.layers


def test_a_solver(tmp_path: Path) -> None:
    source, output = tmp_path / "old.prototxt", tmp_path / "new.prototxt"
    source.write_text('net: "n" solver_type: NESTEROV snapshot_prefix: "p"')
    assert caffe("upgrade_solver_proto_text", str(source), str(output)) == 0
    assert parse_solver(output.read_text(), "new") == SolverParameter(
        net="n", type="Nesterov", snapshot_prefix="p"
    )


BINARY = sorted(path for path in CASES.glob("*/*old*.caffemodel"))


@pytest.mark.parametrize("path", BINARY, ids=lambda p: p.parent.name)
def test_weights(path: Path, tmp_path: Path) -> None:
    output = tmp_path / "new.caffemodel"
    assert caffe("upgrade_net_proto_binary", str(path), str(output)) in (0, 1)
    assert output.read_bytes() == path.with_name(path.name.replace("old", "new")).read_bytes()


def test_arguments(capfd: pytest.CaptureFixture[str]) -> None:
    assert caffe("upgrade_net_proto_text", "only") == 2
    assert "usage: upgrade_net_proto_text INPUT OUTPUT; got 1 arguments" in capfd.readouterr().err
    assert caffe("upgrade_net_proto_text", "none", "out") == 2
