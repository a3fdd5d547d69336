"""Fine-tuning of the fully connected layers alone (section 4.4)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vggrepro.errors import SolverError
from vggrepro.training.solver import Solver

CONV = """layer { name: "c" type: "Convolution" bottom: "x" top: "c" PARAM
  convolution_param { num_output: 3 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "s" type: "Scale" bottom: "c" top: "s" scale_param { bias_term: true } }
"""
NET = """layer { name: "x" type: "Input" top: "x" top: "label"
  input_param { shape { dim: 4 dim: 2 dim: 5 dim: 5 } shape { dim: 4 } } }
CONVfc
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "f" bottom: "label" top: "loss" }
"""
FC = """layer { name: "f" type: "InnerProduct" bottom: "s" top: "f"
  inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }"""
SOLVER = 'net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" momentum: 0.9 weight_decay: 0.01 max_iter: 9'


def solver(folder: Path, learning: str, param: str = "", fc: str = FC) -> Solver:
    net = NET.replace("CONVfc", CONV.replace("PARAM", param) + fc)
    (folder / "net.prototxt").write_text(net)
    (folder / "solver.prototxt").write_text(SOLVER)
    return Solver(folder / "solver.prototxt", seed=1, learning=learning)


def moved(trained: Solver, steps: int = 3) -> set[str]:
    """The parameters that some iterations change."""
    before = {key: value.copy() for key, value in trained.params.items()}
    rng = np.random.default_rng(0)
    for _ in range(steps):
        x = rng.normal(size=(4, 2, 5, 5)).astype(np.float32)
        trained.step([{"x": x, "label": np.arange(4, dtype=np.float32)}])
    return {key for key, value in trained.params.items() if not np.array_equal(value, before[key])}


@pytest.mark.parametrize("param", ["", "param { lr_mult: 1 }", "param { lr_mult: 1 } param { lr_mult: 2 }"])
def test_only_the_fully_connected_layer_moves(tmp_path: Path, param: str) -> None:
    assert moved(solver(tmp_path, "fc", param)) == {"f:0", "f:1"}
    assert moved(solver(tmp_path, "all", param)) == {"c:0", "c:1", "s:0", "s:1", "f:0", "f:1"}


def test_they_learn_what_they_learn_with_lr_mult_0_in_the_prototxt(tmp_path: Path) -> None:
    still = "param { lr_mult: 0 } param { lr_mult: 0 }"
    by_option = solver(tmp_path, "fc")
    text = CONV.replace('type: "Scale"', f'type: "Scale" {still}').replace("PARAM", still)
    (tmp_path / "net.prototxt").write_text(NET.replace("CONVfc", text + FC))
    by_prototxt = Solver(tmp_path / "solver.prototxt", seed=1)
    for trained in (by_option, by_prototxt):
        moved(trained)
    for key, value in by_prototxt.params.items():
        assert np.array_equal(by_option.params[key], value)


def test_a_net_without_fully_connected_layers(tmp_path: Path) -> None:
    pool = 'layer { name: "f" type: "Pooling" bottom: "s" top: "f" pooling_param { global_pooling: true } }'
    with pytest.raises(SolverError, match="no InnerProduct layer, so nothing would learn"):
        solver(tmp_path, "fc", fc=pool)
