from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from harness import check_forward, check_gradient, parse
from hypothesis import given
from hypothesis import strategies as st
from shape_cases import few, freed, seeds, shapes, values

from vggrepro import emit
from vggrepro.errors import NetError, ShapeError
from vggrepro.graph.backward import build_gradient
from vggrepro.graph.forward import build_forward
from vggrepro.layers.base import Layer, Shapes
from vggrepro.layers.filter import Filter
from vggrepro.net import load_net
from vggrepro.runtime.session import Session


def layer_of(items: int) -> Layer:
    return parse(
        'type: "Filter" bottom: "s" ' + " ".join(f'top: "y{i}" bottom: "x{i}"' for i in range(items))
    )


class Filtered(Filter):
    """A Filter that declares the number of rows that this test's selector leaves."""

    rows = 0

    def out_shapes(self, bottoms: Shapes) -> tuple[emit.Shape, ...]:
        return tuple((self.rows, *shape[1:]) for shape in super().out_shapes(bottoms))


@few
@given(st.integers(1, 5), st.lists(shapes(0, 3), min_size=1, max_size=3), seeds, st.data())
def test_any_selector(n: int, items: list[tuple[int, ...]], seed: int, data: st.DataObject) -> None:
    marks = data.draw(st.lists(st.sampled_from([0, 1, -2.5]), min_size=n, max_size=n))
    ones = data.draw(st.integers(0, 2))
    selector = np.array(marks, np.float32).reshape(n, *[1] * ones)
    bottoms = [*(values(seed + i, (n, *shape)) for i, shape in enumerate(items)), selector]
    layer = Filtered(len(items))
    object.__setattr__(layer, "rows", np.count_nonzero(marks))
    check_forward(layer, bottoms, dims=[data.draw(freed(b.shape)) for b in bottoms])
    check_gradient(layer, bottoms)


def test_the_declared_shape_is_that_of_all_items() -> None:
    assert layer_of(2).out_shapes([(4, 3), (4, 2, 2), (4, 1)]) == ((4, 3), (4, 2, 2))


def test_wrong_shapes_and_numbers() -> None:
    with pytest.raises(ShapeError, match="Selector blob dimensions must be singletons"):
        layer_of(1).out_shapes([(4, 3), (4, 2)])
    with pytest.raises(ShapeError, match="same 0th dimension as the selector blob"):
        layer_of(1).out_shapes([(5, 3), (4,)])
    with pytest.raises(NetError, match="one top for each bottom but the selector"):
        parse('type: "Filter" bottom: "a" bottom: "b" bottom: "s" top: "y"')


NET = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 4 dim: 3 dim: 2 } } }
layer { name: "s" type: "Input" top: "s" input_param { shape { dim: 4 } } }
layer { name: "f" type: "Filter" bottom: "x" bottom: "s" top: "f" }
layer { name: "flat" type: "Flatten" bottom: "f" top: "flat" }
layer { name: "wide" type: "Reshape" bottom: "flat" top: "wide"
        reshape_param { shape { dim: 0 dim: 2 dim: 3 } } }
layer { name: "tile" type: "Tile" bottom: "wide" top: "tile" tile_param { tiles: 2 } }
layer { name: "cut" type: "Slice" bottom: "tile" top: "a" top: "b" slice_param { slice_point: 3 } }
layer { name: "join" type: "Concat" bottom: "b" bottom: "a" top: "join" }
layer { name: "mean" type: "Reduction" bottom: "join" top: "loss" loss_weight: 3
        reduction_param { operation: MEAN } }
"""


@pytest.mark.parametrize("marks", [(1, 0, 0, 1), (0, 2, 0, 0), (1, 1, 1, 1)])
def test_layers_behind_see_the_rows_that_are_left(marks: tuple[int, ...], tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(NET)
    net = load_net(path)
    x = values(0, (4, 3, 2))
    feeds = {"x": x, "s": np.array(marks, np.float32)}
    rows = np.count_nonzero(marks)
    got = Session(build_forward(net, outputs=["flat", "loss"]), threads=1).run(feeds)
    left = x[np.array(marks) != 0]
    np.testing.assert_array_equal(got["flat"], left.reshape(rows, 6))
    np.testing.assert_allclose(got["loss"], left.mean(), rtol=1e-5, atol=1e-6)
    dx = Session(build_gradient(net, inputs=["x"]), threads=1).run(feeds)["d:x"]
    expected = np.zeros_like(x)
    expected[np.array(marks) != 0] = 3 / left.size
    np.testing.assert_allclose(dx, expected, rtol=1e-5)
