"""Initialisation (section 3.1): fillers, net A's layers."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from tiny_run import arrays, write_solver

from vggrepro.caffe.text import parse_net, read_net
from vggrepro.caffe.upgrade import upgrade_net_param
from vggrepro.errors import WeightsError
from vggrepro.net import build_net
from vggrepro.paper.trainings import Scheme
from vggrepro.training.initialise import PRETRAINED, Fillers, describe_copy
from vggrepro.training.solver import Solver

ROOT = Path(__file__).resolve().parents[2]

WIDE = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 64 dim: 8 dim: 8 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 128 kernel_size: 3 bias_filler { type: "constant" value: 7 } } }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc"
  inner_product_param { num_output: 40 weight_filler { type: "constant" value: 3 } } }
"""


def filled(scheme: Scheme, std: float = 0.1) -> dict[str, np.ndarray]:
    net = parse_net(WIDE)
    Fillers(scheme, std).apply(net)
    return dict(build_net(upgrade_net_param(net, "wide"), "TRAIN", seed=1).params)


def test_prototxt_leaves_the_nets_fillers() -> None:
    params = filled("prototxt")
    assert set(np.unique(params["conv:1"])) == {7}
    assert set(np.unique(params["fc:0"])) == {3}


@pytest.mark.parametrize(
    ("scheme", "conv", "fc"),
    [
        ("variance", 0.01, 0.01),
        ("paper", 0.01, 0.01),
        # Glorot and Bengio 2010, formula 16: variance 2 / (fan_in + fan_out)
        ("glorot", 2 / (9 * 64 + 9 * 128), 2 / (36 * 128 + 40)),
        # He et al. 2015: 2 / fan_in
        ("msra", 2 / (9 * 64), 2 / (36 * 128)),
    ],
)
def test_variances(scheme: Scheme, conv: float, fc: float) -> None:
    params = filled(scheme)
    assert params["conv:0"].var() == pytest.approx(conv, rel=0.02)
    assert params["fc:0"].var() == pytest.approx(fc, rel=0.02)
    assert abs(params["fc:0"].mean()) < 3 * (fc / params["fc:0"].size) ** 0.5
    assert not params["conv:1"].any()
    assert not params["fc:1"].any()


def test_glorot_is_uniform() -> None:
    conv = filled("glorot")["conv:0"]
    limit = (6 / (9 * 64 + 9 * 128)) ** 0.5
    assert np.abs(conv).max() <= limit
    assert np.abs(conv).max() == pytest.approx(limit, rel=1e-3)


def test_std_of_the_variance_scheme() -> None:
    assert filled("variance", 0.01)["conv:0"].std() == pytest.approx(0.01, rel=0.01)


def test_a_python_layer_that_is_known_has_no_fillers() -> None:
    net = parse_net(
        "layer { name: 'p' type: 'Python' top: 'rois'"
        " python_param { module: 'rpn.proposal_layer' layer: 'ProposalLayer' } }"
    )
    before = net.SerializeToString()
    Fillers("glorot").apply(net)
    assert net.SerializeToString() == before


def test_every_scheme_is_known() -> None:
    assert all(filled(scheme) for scheme in get_args(Scheme))


def mini(config: str, folder: Path) -> Solver:
    """A configuration of the paper with an eighth of its channels, 32 pixels, a batch of 2."""
    net = read_net(ROOT / "prototxt" / config / "train_val.prototxt")
    for layer in net.layer:
        if layer.type == "Convolution":
            layer.convolution_param.num_output //= 8
        elif layer.type == "InnerProduct":
            layer.inner_product_param.num_output //= 64
    text = str(net)
    path = write_solver(folder, text, random_seed={"A": 1}.get(config, 2))
    return Solver(path, threads=1, input_shapes={"data": (2, 3, 32, 32), "label": (2,)})


def test_init_from_net_a_copies_what_the_paper_says(tmp_path: Path) -> None:
    """By name, so that B's second layers of a block stay random: conv1_2 and conv2_2 are not A's."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    a = mini("A", tmp_path / "a")
    model, _ = a.snapshot()
    for config in ("B", "C", "D", "E"):
        solver = mini(config, tmp_path / "b")
        fresh = {key: array.copy() for key, array in solver.params.items()}
        assert solver.copy_weights(model, PRETRAINED) == list(PRETRAINED)
        theirs = arrays(model)
        for key, array in solver.params.items():
            layer = key.split(":")[0]
            np.testing.assert_array_equal(array, theirs[key] if layer in PRETRAINED else fresh[key])
    assert "conv4_1:0" in theirs  # A has it, and deeper nets do not take it


def test_init_from_a_file_without_the_layers(tmp_path: Path) -> None:
    solver = Solver(write_solver(tmp_path), threads=1)
    model, _ = solver.snapshot()
    with pytest.raises(
        WeightsError, match=r"solver_iter_0\.caffemodel: no layer conv1_1, conv2_1, .* to copy"
    ):
        solver.copy_weights(model, PRETRAINED)


def test_copy_is_reported() -> None:
    text = describe_copy("A.caffemodel", ["conv1_1", "fc8"], ["conv1_1", "conv1_2", "fc8"])
    assert text == "A.caffemodel: copied conv1_1, fc8; filled anew: conv1_2"


def test_solvers_own_weights(tmp_path: Path) -> None:
    """Caffe's field ``weights``, unless others are given."""
    model, _ = Solver(write_solver(tmp_path), threads=1, seed=1).snapshot()
    path = write_solver(tmp_path, weights=f'"{model}"')
    for key, array in Solver(path, threads=1, seed=2).params.items():
        np.testing.assert_array_equal(array, arrays(model)[key])
