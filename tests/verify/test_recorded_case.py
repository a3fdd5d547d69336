"""A case that is recorded passes its own check, and notices a changed net."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from golden_suite import ROOT

from vggrepro.errors import NetError
from vggrepro.net import Net, load_net
from vggrepro.verify import recorded_case
from vggrepro.verify.comparison import example_inputs
from vggrepro.verify.recorded_case import record_case
from vggrepro.verify.reference_case import ReferenceCase, check_case

LENET = ROOT / "nets" / "lenet_test"


def lenet() -> Net:
    return load_net(LENET / "net.prototxt", LENET / "weights.caffemodel")


def inputs(net: Net) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: (rng.random(shape) > 0.5).astype(np.float32) for name, shape in net.inputs.items()}


def test_a_recorded_case_passes(tmp_path: Path) -> None:
    net = lenet()
    case = ReferenceCase(record_case(tmp_path / "new" / "case", LENET / "net.prototxt", net, inputs(net)))
    differences = check_case(case)
    assert {d.blob.partition(":")[2] for d in differences} == set(net.blobs) - set(net.inputs)
    assert all(d.passed for d in differences)
    assert case.files.net.read_bytes() == (LENET / "net.prototxt").read_bytes()


def test_a_former_case_stays_whole_where_the_new_one_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = lenet()
    record_case(tmp_path, LENET / "net.prototxt", net, inputs(net))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    key = next(iter(net.params))
    changed = net.with_params({key: net.params[key] + np.float32(0.01)})

    def put_weights(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recorded_case, "put_weights", put_weights)
    with pytest.raises(OSError, match="No space left"):
        record_case(tmp_path, LENET / "net.prototxt", changed, inputs(net))
    with pytest.raises(OSError, match="No space left"):
        record_case(tmp_path / "new" / "case", LENET / "net.prototxt", net, inputs(net))
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_changed_weight_is_noticed(tmp_path: Path) -> None:
    net = lenet()
    record_case(tmp_path, LENET / "net.prototxt", net, inputs(net))
    key = next(iter(net.params))
    changed = net.with_params({key: net.params[key] + np.float32(0.01)})
    other = ReferenceCase(record_case(tmp_path / "other", LENET / "net.prototxt", changed, inputs(net)))
    other.files.io.write_bytes(ReferenceCase(tmp_path).files.io.read_bytes())
    assert not all(d.passed for d in check_case(other))


def test_a_net_without_weights_replaces_one_with_them(tmp_path: Path) -> None:
    net = lenet()
    record_case(tmp_path, LENET / "net.prototxt", net, inputs(net))
    text = tmp_path / "relu.prototxt"
    text.write_text(
        'input: "x" input_shape { dim: 2 dim: 3 } layer { name: "r" type: "ReLU" bottom: "x" top: "y" }'
    )
    relu = load_net(text)
    case = ReferenceCase(record_case(tmp_path, text, relu, {"x": np.ones((2, 3), np.float32)}))
    assert not case.files.weights.exists()
    assert [d.passed for d in check_case(case)] == [True]


def test_inputs_that_do_not_fit(tmp_path: Path) -> None:
    net = lenet()
    wrong = {name: array[:1] for name, array in inputs(net).items()}
    with pytest.raises(NetError, match="expected"):
        record_case(tmp_path / "case", LENET / "net.prototxt", net, wrong)
    assert not (tmp_path / "case").exists()


def test_a_net_that_computes_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.prototxt").write_text('input: "x" input_shape { dim: 2 }')
    net = load_net(tmp_path / "x.prototxt")
    with pytest.raises(NetError, match="no output to record"):
        record_case(tmp_path / "case", tmp_path / "x.prototxt", net, {"x": np.zeros(2, np.float32)})
    assert not (tmp_path / "case").exists()


def test_noise_of_the_whole_shape() -> None:
    """What the command feeds has the net's own shapes."""
    from vggrepro.graph.forward import build_forward

    net = lenet()
    assert {n: a.shape for n, a in example_inputs(net, build_forward(net, fixed=True)).items()} == net.inputs
