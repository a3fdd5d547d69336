"""EuclideanLossLayer: the example's formula, its gradient, and how a net finds it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse, run_gradient
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

from vggrepro import gradient_model, load_net
from vggrepro.errors import ShapeError

LAYER = parse('type: "EuclideanLossLayer"')


@few
@given(shapes(least=2), seeds, st.data())
def test_by_formula(shape: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    a, b = values(seed, shape), values(seed + 1, (shape[0] * shape[1], *shape[2:]))
    (loss,) = check_forward(LAYER, [a, b], dims=[data.draw(freed(shape)), b.shape])
    expected = np.sum((a.ravel().astype(float) - b.ravel()) ** 2) / shape[0] / 2
    assert loss.shape == (1,)
    assert loss[0] == pytest.approx(expected, rel=1e-4)
    check_gradient(LAYER, [a, b])


def test_nothing_flows_without_a_weight() -> None:
    x = values(0, (2, 3))
    assert run_gradient(LAYER, [x, x], [], [None]) == [None, None]


def test_it_stands_in_for_the_example(tmp_path: Path) -> None:
    path = tmp_path / "linreg.prototxt"
    path.write_text(
        """layer { type: "DummyData" name: "x" top: "x" dummy_data_param { shape { dim: 10 dim: 3 dim: 2 }
          data_filler { type: "gaussian" } } }
        layer { type: "DummyData" name: "y" top: "y" dummy_data_param { shape { dim: 10 dim: 2 } } }
        layer { type: "InnerProduct" name: "ipx" top: "ipx" bottom: "x" inner_product_param { num_output: 2
          weight_filler { type: "xavier" } } }
        layer { type: "Python" name: "loss" top: "loss" bottom: "ipx" bottom: "y" loss_weight: 1
          python_param { module: "pyloss" layer: "EuclideanLossLayer" } }"""
    )
    net = load_net(path, phase="TRAIN")
    assert net.outputs == {"loss": (1,)}
    assert len(gradient_model(net).graph.output) == 2


def test_needs_as_many_elements() -> None:
    with pytest.raises(ShapeError, match="same dimension"):
        LAYER.out_shapes([(2, 3), (2, 2)])
