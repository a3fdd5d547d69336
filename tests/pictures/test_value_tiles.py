"""Filters and maps as brightness: the values can be read back from the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vggrepro.errors import NetError, WeightsError
from vggrepro.evaluation.net_files import NetFiles
from vggrepro.net import load_net
from vggrepro.pictures.value_tiles import filter_tiles, first_filters, map_tiles, value_tiles


def values(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.3, shape).astype(np.float32)


@pytest.mark.parametrize(("order", "turned"), [("bgr", slice(None)), ("rgb", slice(None, None, -1))])
def test_filters_can_be_read_back(order: str, turned: slice) -> None:
    filters = values(6, 3, 5, 4)
    made = filter_tiles(filters, order)
    assert made.tiles.shape == (6, 5, 4, 3)
    assert (made.tiles.min(), made.tiles.max()) == (0, 255)
    assert (made.least, made.most) == (filters.min(), filters.max())
    back = made.values()[..., turned].transpose(0, 3, 1, 2)
    assert np.abs(back - filters).max() <= (made.most - made.least) / 255 / 2 + 1e-6


def test_a_blue_filter_is_blue() -> None:
    """OpenCV's pictures are B, G, R, as Caffe's filters are."""
    filters = np.zeros((1, 3, 2, 2), np.float32)
    filters[:, 0] = 1
    assert filter_tiles(filters, "bgr").tiles[0, 0, 0].tolist() == [255, 0, 0]
    assert filter_tiles(filters, "rgb").tiles[0, 0, 0].tolist() == [0, 0, 255]


def test_maps_are_grey() -> None:
    maps = values(4, 3, 2)
    made = map_tiles(maps)
    assert made.tiles.shape == (4, 3, 2, 1)
    assert np.abs(made.values()[..., 0] - maps).max() <= (made.most - made.least) / 510 + 1e-6


def test_one_value_is_grey_and_none_is_refused() -> None:
    assert (value_tiles(np.ones((1, 2, 2, 1), np.float32)).tiles == 128).all()
    with pytest.raises(NetError, match="no finite numbers"):
        value_tiles(np.full((1, 1, 1, 1), np.nan, np.float32))


def test_the_first_filters_of_a_net(nets: list[NetFiles]) -> None:
    net = load_net(nets[0].deploy, nets[0].weights)
    name, filters = first_filters(net)
    assert name == "conv1"
    assert (filters == net.params["conv1:0"]).all()
    with pytest.raises(WeightsError, match="layer 'conv1': no file gave its weights"):
        first_filters(load_net(nets[0].deploy))


@pytest.mark.parametrize(
    ("layer", "told"),
    [
        ('type: "ReLU"', "no layer has filters"),
        ('type: "Convolution" convolution_param { num_output: 2 kernel_size: 1 }', "filters of 5 channels"),
    ],
)
def test_nets_without_first_filters(layer: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "n.prototxt"
    shape = "input_param { shape { dim: 1 dim: 5 dim: 4 dim: 4 } }"
    path.write_text(
        f'layer {{ name: "d" type: "Input" top: "d" {shape} }}\n'
        f'layer {{ name: "l" bottom: "d" top: "l" {layer} }}'
    )
    with pytest.raises(NetError, match=told):
        first_filters(load_net(path))
