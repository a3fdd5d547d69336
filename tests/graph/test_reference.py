"""The float64 reference walk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from net_files import image, layer, net_of

from vggrepro.errors import NetError, ShapeError
from vggrepro.graph.reference import reference_forward, reference_walk

IN_PLACE = (
    image(2, 3) + layer("p", "Power", "data", more="power_param { scale: 2 }") + layer("r", "ReLU", "p", "p")
)


def test_a_blob_means_its_last_value_and_values_are_all_kept(tmp_path: Path) -> None:
    net = net_of(tmp_path, IN_PLACE)
    x = np.float32([[-1, 2, 3], [4, -5, 6]])
    values, moved = reference_walk(net, {"data": x}, {})
    np.testing.assert_array_equal(values["p"], 2 * x)
    np.testing.assert_array_equal(values["p#r"], np.maximum(2 * x, 0))
    assert moved == {}
    blobs = reference_forward(net, {"data": x})
    assert list(blobs) == ["data", "p"]
    np.testing.assert_array_equal(blobs["p"], values["p#r"])
    assert blobs["p"].dtype == np.float64


def test_steep_layers_read_what_was_measured(tmp_path: Path) -> None:
    steep = layer("p", "Power", "data") + layer("s", "SignedSqrt", "p") + layer("q", "Power", "p")
    net = net_of(tmp_path, image(2, 3) + steep)
    x, measured = np.zeros((2, 3)), np.full((2, 3, 1, 1), 4, np.float32)
    values, _ = reference_walk(net, {"data": x}, {}, {"p": measured})
    np.testing.assert_array_equal(values["s"], np.full((2, 3), 2))
    assert not values["p"].any() and not values["q"].any()
    other, _ = reference_walk(net, {"data": x}, {}, {"p": np.ones((1, 3), np.float32)})
    assert not other["s"].any()


def test_inputs_of_another_batch(tmp_path: Path) -> None:
    assert reference_forward(net_of(tmp_path, IN_PLACE), {"data": np.ones((5, 3))})["p"].shape == (5, 3)


def test_inputs_without_elements_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match="top 'data' would have no elements"):
        reference_forward(net_of(tmp_path, IN_PLACE), {"data": np.ones((0, 3))})


@pytest.mark.parametrize(
    ("names", "text"), [([], "missing input 'data'"), (["data", "y"], "unknown input 'y'")]
)
def test_inputs_by_name(tmp_path: Path, names: list[str], text: str) -> None:
    with pytest.raises(NetError, match=text):
        reference_forward(net_of(tmp_path, IN_PLACE), {name: np.zeros((2, 3)) for name in names})


def test_states_and_statistics_have_the_names_that_graphs_give_them(tmp_path: Path) -> None:
    text = image(4, 3) + layer("bn", "BatchNorm", "data") + layer("drop", "Dropout", "bn")
    net = net_of(tmp_path, text, phase="TRAIN")
    state = {"state:drop:random": np.array([7, 3])}
    _, moved = reference_walk(net, {"data": np.arange(12).reshape(4, 3)}, state)
    assert list(moved) == ["next:bn:0", "next:bn:1", "next:bn:2", "next:drop:random"]
    np.testing.assert_array_equal(moved["next:drop:random"], [8, 3])
