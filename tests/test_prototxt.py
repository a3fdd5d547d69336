"""The configurations that the toolkit ships, against the paper and the published files."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from vggrepro.caffe.messages import PHASES
from vggrepro.caffe.state import filter_net
from vggrepro.caffe.text import read_net, read_solver
from vggrepro.caffe.upgrade import upgrade_net_param
from vggrepro.net import Net, load_net
from vggrepro.net.inspect import inspect
from vggrepro.net.net import build

ROOT = Path(__file__).parent.parent / "prototxt"
PUBLISHED = Path(__file__).parent / "prototxt_published"

PARAMETERS = {
    "A": 132_863_336,
    "A-LRN": 132_863_336,
    "B": 133_047_848,
    "C": 133_638_952,
    "D": 138_357_544,
    "E": 143_667_240,
    "B-5x5": 134_503_528,
}
"""Weights and biases of each configuration: Table 2 gives them in millions (133, 133, 133, 134, 138, 144).
The shallow net of section 4.1 has none printed: 25 weights for each pair of channels in place of 9 and 9."""

DEPTH = {"A": 11, "A-LRN": 11, "B": 13, "C": 16, "D": 16, "E": 19, "B-5x5": 8}


def count(net: Net) -> int:
    return sum(math.prod(use.definition.shape) for use in net.param_uses)


def definition(path: Path, phase: str = "TEST") -> Net:
    """The net without filling half a gigabyte of parameters."""
    message = upgrade_net_param(read_net(path), str(path))
    return build(filter_net(message, phase=PHASES[phase]), phase)


@pytest.mark.parametrize("config", PARAMETERS)
@pytest.mark.parametrize("kind", ["deploy", "train_val"])
def test_parameters_and_depth(config: str, kind: str) -> None:
    net = definition(ROOT / config / f"{kind}.prototxt")
    assert count(net) == PARAMETERS[config]
    assert len({use.key.split(":")[0] for use in net.param_uses}) == DEPTH[config]
    assert count(definition(ROOT / config / "train_val.prototxt", "TRAIN")) == PARAMETERS[config]


@pytest.mark.parametrize(("config", "layers"), [("D", 16), ("E", 19)])
def test_equal_to_the_published_file(config: str, layers: int) -> None:
    published = PUBLISHED / f"VGG_ILSVRC_{layers}_layers_deploy.prototxt"
    ours = upgrade_net_param(read_net(ROOT / config / "deploy.prototxt"), "ours")
    assert ours == upgrade_net_param(read_net(published), str(published))


@pytest.mark.parametrize("config", PARAMETERS)
def test_solver_holds_the_papers_numbers(config: str) -> None:
    solver = read_solver(ROOT / config / "solver.prototxt")
    assert (solver.base_lr, solver.momentum, solver.weight_decay) == pytest.approx((1e-2, 0.9, 5e-4))
    assert (solver.lr_policy, solver.gamma) == ("plateau", pytest.approx(0.1))
    assert solver.max_iter == 370_000
    assert (ROOT / config / solver.net).exists()
    net = definition(ROOT / config / "train_val.prototxt", "TRAIN")
    assert net.inputs["data"] == (256, 3, 224, 224)


def test_only_a_lrn_normalises() -> None:
    for config in PARAMETERS:
        net = load_types(config)
        assert net.count("LRN") == (1 if config == "A-LRN" else 0)
    assert load_types("A-LRN").index("LRN") == load_types("A-LRN").index("Pooling") - 1


@pytest.mark.parametrize("kind", ["deploy", "train_val"])
def test_shallow_net_is_b_with_5x5_convolutions_for_pairs(kind: str) -> None:
    """The same sizes of blobs from pooling to pooling, and the same receptive field at the end."""
    b, shallow = (definition(ROOT / config / f"{kind}.prototxt") for config in ("B", "B-5x5"))
    left_out = {f"{layer}{block}_2" for layer in ("conv", "relu") for block in range(1, 6)}
    kept = {name: shape for name, shape in b.shapes.items() if name.split("#")[0] not in left_out}
    assert {layer.name for layer in b.layers} - {layer.name for layer in shallow.layers} == left_out
    assert shallow.shapes == kept
    fields = [{row.name: (row.field, row.stride) for row in inspect(net)[0]} for net in (b, shallow)]
    assert [fields[0][f"pool{i}"] for i in range(1, 6)] == [fields[1][f"pool{i}"] for i in range(1, 6)]


def load_types(config: str) -> list[str]:
    return [layer.type for layer in read_net(ROOT / config / "deploy.prototxt").layer]


@pytest.mark.slow
def test_every_parameter_is_filled() -> None:
    net = load_net(ROOT / "A" / "train_val.prototxt", phase="TRAIN")
    assert abs(float(net.params["fc7:0"].std()) - 0.1) < 1e-3  # variance 10^-2
    assert not net.params["fc7:1"].any()
