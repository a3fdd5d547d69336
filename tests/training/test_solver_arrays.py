"""The arrays that last from step to step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from net_files import image, layer, net_of

from vggrepro.net import Net
from vggrepro.runtime.device import Device
from vggrepro.training.solver_arrays import SolverArrays

SHARED = 'param { name: "w" } inner_product_param { num_output: 3 bias_term: false } '


@pytest.fixture
def net(tmp_path: Path) -> Net:
    """Two layers with one parameter, and one with a bias."""
    text = image(2, 3) + layer("a", "InnerProduct", "data", more=SHARED)
    text += layer("b", "InnerProduct", "a", more=SHARED)
    return net_of(
        tmp_path, text + layer("c", "InnerProduct", "b", more="inner_product_param { num_output: 5 }")
    )


def test_owned_parameters_in_the_nets_order(net: Net) -> None:
    arrays = SolverArrays.allocate(net, Device("cpu"), histories=2, accumulates=False)
    assert arrays.layout.shapes == {"a:0": (3, 3), "c:0": (5, 3), "c:1": (5,)}
    assert len(arrays.histories) == 2
    assert {array.size for array in (arrays.values, arrays.total, *arrays.histories)} == {arrays.layout.size}


def test_one_pass_needs_no_array_of_its_own(net: Net) -> None:
    once = SolverArrays.allocate(net, Device("cpu"), histories=1, accumulates=False)
    assert once.gradients is once.total
    several = SolverArrays.allocate(net, Device("cpu"), histories=1, accumulates=True)
    assert several.gradients is not several.total


def test_what_is_written_is_read(net: Net) -> None:
    arrays = SolverArrays.allocate(net, Device("cpu"), histories=1, accumulates=False)
    arrays.write(arrays.values, {key: np.full(s, 2, np.float32) for key, s in arrays.layout.shapes.items()})
    arrays.write(
        arrays.values, {"c:1": np.arange(5, dtype=np.float32), "elsewhere:0": np.ones(1, np.float32)}
    )
    found = arrays.read(arrays.values)
    assert list(found) == ["a:0", "c:0", "c:1"]
    np.testing.assert_array_equal(found["c:1"], np.arange(5))
    np.testing.assert_array_equal(found["c:0"], np.full((5, 3), 2))
    assert not arrays.read(arrays.histories[0])["c:0"].any()
