"""The solver's own rules, beyond what the golden trajectories show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vggrepro.caffe.messages import NetParameter
from vggrepro.caffe.snapshot import read_solverstate, write_blob, write_caffemodel
from vggrepro.caffe.text import parse_net
from vggrepro.errors import ShapeError
from vggrepro.training.solver import Solver

NET = """
name: "line"
layer { name: "in" type: "Input" top: "x" top: "y" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip"
  inner_product_param { num_output: 3 bias_term: false weight_filler { type: "xavier" } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "ip" bottom: "y" top: "loss" }
"""

FEED = {"x": np.full((2, 3), 0.5, np.float32), "y": np.ones((2, 3), np.float32)}


def solver_of(folder: Path, text: str, net: str = NET) -> Solver:
    (folder / "net.prototxt").write_text(net)
    path = folder / "solver.prototxt"
    path.write_text(f'net: "net.prototxt" snapshot_prefix: "{folder}/snap" random_seed: 1 {text}')
    return Solver(path, threads=1)


def test_overdue_stepvalues_are_taken_one_an_iteration(tmp_path: Path) -> None:
    """Three stepvalues reached at once take three iterations; without a gradient but for the decay, the
    ratio of the weights before and after shows the rate that was applied."""
    text = 'base_lr: 0.5 lr_policy: "multistep" gamma: 0.5 weight_decay: 1' + " stepvalue: 1" * 3
    solver = solver_of(tmp_path, text)
    still = {"x": np.zeros((2, 3), np.float32), "y": np.zeros((2, 3), np.float32)}
    rates = []
    for _ in range(5):
        before = solver.params["ip:0"].copy()
        expected = solver.learning_rate
        solver.step([still])
        rates.append(1 - float((solver.params["ip:0"] / before).mean()))
        assert rates[-1] == pytest.approx(expected, rel=1e-5)
    assert rates == pytest.approx([0.5, 0.25, 0.125, 0.0625, 0.0625], rel=1e-5)


def test_snapshot_of_step_policy_tells_the_current_step(tmp_path: Path) -> None:
    """Caffe's counts up to the last update, which is one before the snapshot's iteration."""
    solver = solver_of(tmp_path, 'base_lr: 0.01 lr_policy: "step" gamma: 0.5 stepsize: 2')
    steps = []
    for _ in range(4):
        solver.step([FEED])
        steps.append(read_solverstate(solver.snapshot()[1]).current_step)
    assert steps == [0, 0, 1, 1]


def write_weights(path: Path, value: float) -> None:
    layer = {"ip": [np.full((3, 3), value, np.float32)]}
    write_caffemodel(path, parse_net(NET), layer)


@pytest.mark.parametrize("names", ["first.caffemodel , second.caffemodel", "second.caffemodel"])
def test_weight_files_that_the_solver_names(tmp_path: Path, names: str) -> None:
    """Several in one string have commas between them; the last one stays."""
    write_weights(tmp_path / "first.caffemodel", 1)
    write_weights(tmp_path / "second.caffemodel", 2)
    solver = solver_of(tmp_path, f'base_lr: 1 lr_policy: "fixed" weights: "{names}"')
    assert (solver.params["ip:0"] == 2).all()


INFOGAIN = """
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 2 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip" inner_product_param { num_output: 3 } }
layer { name: "loss" type: "InfogainLoss" bottom: "ip" bottom: "label" top: "loss"
  infogain_loss_param { source: "H.binaryproto" } }
"""


def test_snapshots_name_files_as_the_definition_does(tmp_path: Path) -> None:
    """A file beside the solver is found there, but the weight file says what the prototxt says."""
    write_blob(tmp_path / "H.binaryproto", np.eye(3, dtype=np.float32).reshape(1, 1, 3, 3))
    solver = solver_of(tmp_path, 'base_lr: 1 lr_policy: "fixed"', net=INFOGAIN)
    saved = NetParameter.FromString(solver.snapshot()[0].read_bytes())
    assert saved.layer[-1].infogain_loss_param.source == "H.binaryproto"


def test_a_data_layer_of_a_fork_is_fed_by_its_tops(tmp_path: Path) -> None:
    source = 'layer { name: "in" type: "%s" top: "x" top: "y" %s }'
    for kind, fields in (
        ("Python", 'python_param { module: "m" layer: "Reader" }'),
        ("PairData", "pair_data_param { batch_size: 2 }"),
    ):
        start = NET.index("layer {")
        net = NET[:start] + source % (kind, fields) + NET[NET.index("\n", start) :]
        with pytest.raises(ShapeError, match=r"no shape for input 'x'.*--input-shape x="):
            solver_of(tmp_path, 'base_lr: 0.1 lr_policy: "fixed"', net)
        shapes = {"x": (2, 3), "y": (2, 3)}
        solver = Solver(tmp_path / "solver.prototxt", input_shapes=shapes, threads=1)
        plain = solver_of(tmp_path, 'base_lr: 0.1 lr_policy: "fixed"')
        assert solver.step([FEED]) == plain.step([FEED])
