"""Nets as a CPU trains them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from net_files import image, layer, net_of, noise

from vggrepro.graph.reference import reference_forward
from vggrepro.graph.training_step import build_training_step
from vggrepro.net import Net
from vggrepro.net.transforms.cpu_training import for_cpu_training, with_relu_behind_pooling
from vggrepro.runtime.session import Session

POOL = "pooling_param { kernel_size: 3 stride: 2 pad: 1 }"
SCALE = "scale_param { bias_term: true }"


def net(tmp_path: Path, relu: str = "", pool: str = POOL, *, top: str, behind: str = "") -> Net:
    """A scale, a ReLU (in place, or not), a pooling, and a loss of its square."""
    text = image(2, 3, 5, 6) + layer("scaled", "Scale", "data", more=SCALE)
    text += layer("relu", "ReLU", "scaled", top, relu) + layer("pool", "Pooling", top, more=pool)
    text += behind + layer("zero", "Power", "pool", more="power_param { scale: 0 }")
    return net_of(tmp_path, text + layer("loss", "EuclideanLoss", "pool zero"), phase="TRAIN")


def order(net: Net) -> list[str]:
    return [placed.name for placed in net.layers if placed.name in ("relu", "pool")]


@pytest.mark.parametrize("top", ["scaled", "relu"], ids=["in place", "out of place"])
def test_forward_and_gradients_stay_the_same(tmp_path: Path, top: str) -> None:
    """Exactly, also where elements of a window are equal."""
    plain = net(tmp_path, top=top)
    moved = with_relu_behind_pooling(plain)
    assert (order(plain), order(moved)) == (["relu", "pool"], ["pool", "relu"])
    feeds = {"data": noise({"data": (2, 3, 5, 6)})["data"].round()}
    references = [reference_forward(n, feeds) for n in (plain, moved)]
    for name in ("pool", "loss"):
        np.testing.assert_array_equal(references[1][name], references[0][name])
    graphs = [
        build_training_step(n, rules)
        for n, rules in ((plain, None), (moved, None), (for_cpu_training(plain), None), (plain, "cpu"))
    ]
    expected, *others = (Session(graph, threads=1).run({**feeds, **plain.params}) for graph in graphs)
    assert np.abs(expected["d:scaled:0"]).min() > 0
    for got in others:
        for name, value in expected.items():
            np.testing.assert_array_equal(got[name], value, err_msg=name)


@pytest.mark.parametrize(
    "changed",
    [
        {"relu": "relu_param { negative_slope: 0.1 }"},
        {"relu": "loss_weight: 1"},
        {"relu": "propagate_down: true"},
        {"pool": POOL.replace("kernel", "pool: AVE kernel")},
        {"pool": "pooling_param { kernel_size: 1 stride: 2 }"},
        {"behind": layer("other", "AbsVal", "relu") + layer("end", "Silence", "other", " ")},
    ],
    ids=lambda changed: "".join(changed),
)
def test_where_they_stay(tmp_path: Path, changed: dict[str, str]) -> None:
    plain = net(tmp_path, top="relu", **changed)
    assert with_relu_behind_pooling(plain).layers == plain.layers
