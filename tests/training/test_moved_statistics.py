"""What a training pass moves takes the parameters' places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from net_files import image, layer, net_of

from vggrepro.graph.naming import LOSS
from vggrepro.graph.training_step import build_training_step
from vggrepro.net import Net
from vggrepro.runtime.device import Device
from vggrepro.runtime.session import Session
from vggrepro.training.moved_statistics import MovedStatistics
from vggrepro.training.solver_arrays import SolverArrays

CPU = Device("cpu")
SHARED = "".join(f'param {{ name: "{n}" lr_mult: 0 }} ' for n in "msc")
REDUCED = layer("loss", "Reduction", "b", more="loss_weight: 1")


def run(net: Net) -> tuple[SolverArrays, bool]:
    """The arrays after one pass over ones, and whether anything was copied."""
    arrays = SolverArrays.allocate(net, CPU, histories=0, accumulates=False)
    arrays.write(arrays.values, net.params)
    graph = build_training_step(net)
    statistics = MovedStatistics(net, arrays, CPU, 1)
    bound = Session(graph, threads=1).bind()
    for key in arrays.layout.shapes:
        bound.bind_input(key, arrays.layout.on_device(arrays.values, key))
    bound.feed("data", np.ones(net.inputs["data"], np.float32))
    bound.return_output(LOSS)
    statistics.bind(bound, graph)
    bound.run()
    copying = statistics.copying(graph)
    if copying is not None:
        copying.run()
    return arrays, copying is not None


@pytest.mark.parametrize("params", ["", SHARED])
def test_statistics_are_copied_on_the_device(tmp_path: Path, params: str) -> None:
    text = (
        image(2, 3, 4, 4)
        + layer("a", "BatchNorm", "data", more=params)
        + layer("b", "BatchNorm", "a", more=params)
    )
    net = net_of(tmp_path, text + REDUCED, phase="TRAIN")
    arrays, copied = run(net)
    found = arrays.read(arrays.values)
    assert copied
    mean = 0 if params else 1  # of what the last layer reads that has the parameter: a's top, or ones
    np.testing.assert_allclose(found["a:0"], 0.999 * net.params["a:0"] + mean, rtol=1e-5)
    np.testing.assert_allclose(found["a:2"], 0.999 * net.params["a:2"] + 1, rtol=1e-5)


def test_nothing_is_copied_where_nothing_moves(tmp_path: Path) -> None:
    still = "batch_norm_param { use_global_stats: true }"
    net = net_of(
        tmp_path, image(2, 3, 4, 4) + layer("b", "BatchNorm", "data", more=still) + REDUCED, phase="TRAIN"
    )
    arrays, copied = run(net)
    assert not copied
    np.testing.assert_array_equal(arrays.read(arrays.values)["b:0"], net.params["b:0"])
