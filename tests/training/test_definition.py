"""Solver definitions: what Caffe refuses, which nets they name, settings in place of fields."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tiny_run import NET, write_solver

from vggrepro.errors import ParseError, SolverError
from vggrepro.net import ForkRules
from vggrepro.training.definition import read_definition


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"type": '"Lion"'}, "Unknown solver type: Lion"),
        ({"lr_policy": '"cosine"'}, "Unknown learning rate policy: cosine"),
        ({"type": '"AdaGrad"'}, "Momentum cannot be used with AdaGrad."),
        ({"type": '"RMSProp"', "momentum": 0, "rms_decay": 1.5}, "rms_decay should lie between 0 and 1"),
        ({"regularization_type": '"L3"'}, "Unknown regularization type: L3"),
        ({"iter_size": 0}, "iter_size must be at least 1, got 0"),
        ({"average_loss": 0}, "average_loss should be non-negative"),
        ({"snapshot_prefix": r'"a\0b"'}, r"snapshot_prefix 'a\\x00b' has a NUL character"),
        ({"snapshot_diff": "true"}, "snapshot_diff is not supported"),
    ],
)
def test_refusals(tmp_path: Path, fields: dict[str, object], message: str) -> None:
    with pytest.raises(SolverError, match=message):
        read_definition(write_solver(tmp_path, **fields))


def test_exactly_one_train_net(tmp_path: Path) -> None:
    path = write_solver(tmp_path, train_net='"net.prototxt"')
    with pytest.raises(SolverError, match=r"must not contain more than one of these .*got net, train_net"):
        read_definition(path).train_message()
    path.write_text('base_lr: 0.1 lr_policy: "fixed"')
    with pytest.raises(SolverError, match=r"must specify a train net using one of these fields: .*got none"):
        read_definition(path).train_message()


def test_phases_of_one_file(tmp_path: Path) -> None:
    definition = read_definition(write_solver(tmp_path, test_iter=3, test_interval=5))
    assert [layer.name for layer in definition.train_message().layer][-1] == "loss"
    (test,) = definition.test_messages()
    assert [layer.name for layer in test.layer][-1] == "accuracy"


def test_given_shapes_make_inputs_of_data_layers_of_forks(tmp_path: Path) -> None:
    net = NET.replace('type: "Data"', 'type: "PairData"').replace("crop_size: 8", "")
    path = write_solver(tmp_path, net, test_iter=3, test_interval=5)
    shapes = {"data": (4, 3, 8, 8), "label": (4,)}
    definition = read_definition(path, (), ForkRules(shapes))
    for message in (definition.train_message(), *definition.test_messages()):
        assert message.layer[0].type == "Input"
        assert [list(shape.dim) for shape in message.layer[0].input_param.shape] == [[4, 3, 8, 8], [4]]
    with pytest.raises(SolverError, match="input shape of 'image': no Input"):
        read_definition(path, (), ForkRules({**shapes, "image": (1,)})).train_message()


def test_test_nets_in_caffes_order(tmp_path: Path) -> None:
    """Named test nets first, then the general one for the test_iter that are left."""
    (tmp_path / "other.prototxt").write_text(NET.replace('"tiny"', '"other"'))
    path = write_solver(tmp_path, test_net='"other.prototxt"', test_interval=5)
    with path.open("a") as file:
        file.write("test_iter: 1 test_iter: 2 test_iter: 3\n")
    assert [m.name for m in read_definition(path).test_messages()] == ["other", "tiny", "tiny"]


def test_test_nets_need_test_iter_and_interval(tmp_path: Path) -> None:
    path = write_solver(tmp_path, test_net='"net.prototxt"', test_interval=5)
    with pytest.raises(SolverError, match="test_iter must be specified for each test network"):
        read_definition(path).test_messages()
    path = write_solver(tmp_path, test_iter=1)
    with pytest.raises(SolverError, match="test_interval must be positive"):
        read_definition(path).test_messages()


def test_settings_replace_fields(tmp_path: Path) -> None:
    path = write_solver(tmp_path, test_iter=3, test_interval=5)
    given = read_definition(path, ["max_iter: 7", "test_iter: 2", 'snapshot_prefix: "x"']).param
    assert (given.max_iter, list(given.test_iter), given.snapshot_prefix) == (7, [2], "x")
    with pytest.raises(ParseError, match="setting 'max_itr: 7'"):
        read_definition(path, ["max_itr: 7"])


def test_prefix_defaults_to_the_solvers_name(tmp_path: Path) -> None:
    definition = read_definition(write_solver(tmp_path))
    assert definition.snapshot_prefix == str(tmp_path / "solver")


def test_prefix_that_is_a_folder_gets_the_solvers_name(tmp_path: Path) -> None:
    (tmp_path / "snaps").mkdir()
    path = write_solver(tmp_path, snapshot_prefix=f'"{tmp_path}/snaps"')
    assert read_definition(path).snapshot_prefix == str(tmp_path / "snaps" / "solver")
    path = write_solver(tmp_path, snapshot_prefix=f'"{tmp_path}/snaps/vgg"')
    assert read_definition(path).snapshot_prefix == str(tmp_path / "snaps" / "vgg")


@pytest.mark.parametrize("prefix", ["", "folder"])
def test_a_solvers_name_that_is_no_utf8_is_no_prefix(
    tmp_path: Path, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Solver states could not name the weights."""
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    path = write_solver(tmp_path, snapshot_prefix=f'"{prefix}"').rename(os.fsdecode(b"n\xff.prototxt"))
    with pytest.raises(SolverError, match=r"prototxt: snapshots would be called .*\\udcff.*expected UTF-8"):
        assert read_definition(path).snapshot_prefix
