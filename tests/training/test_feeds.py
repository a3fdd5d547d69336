"""Values of inputs in the shapes that a net takes."""

from __future__ import annotations

import numpy as np
import pytest
from net_files import image, layer

from vggrepro.caffe.text import parse_net
from vggrepro.errors import NetError
from vggrepro.net.net import Net, build
from vggrepro.runtime.device import Device
from vggrepro.runtime.device_array import DeviceArray, DeviceView
from vggrepro.training.feeds import fitted, shapes_of


def net() -> Net:
    return build(parse_net(image(2, 3, 4, 5, name="x") + image(2, 1, 1, 1, name="y")), "TRAIN")


def test_sizes_of_one_at_the_end_may_be_missing() -> None:
    x, y = np.zeros((2, 3, 4, 5)), np.arange(2)
    fitting = fitted(net(), {"x": x, "y": y})
    assert shapes_of(fitting) == {"x": (2, 3, 4, 5), "y": (2, 1, 1, 1)}
    assert fitting["x"] is x
    view = DeviceView(DeviceArray(2, Device("cpu")), 0, (2, 1))
    assert shapes_of(fitted(net(), {"x": x, "y": view}))["y"] == (2, 1, 1, 1)


@pytest.mark.parametrize("shape", [(1, 2, 1, 1), (3,), (2, 2), (), (2, 1, 1, 1, 1)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(NetError, match=r"input 'y': shape .*, expected"):
        fitted(net(), {"x": np.zeros((2, 3, 4, 5)), "y": np.zeros(shape)})


def test_names_are_checked() -> None:
    with pytest.raises(NetError, match="missing input 'y'"):
        fitted(net(), {"x": np.zeros((2, 3, 4, 5))})
    with pytest.raises(NetError, match="unknown input 'z'"):
        fitted(net(), {"x": np.zeros((2, 3, 4, 5)), "y": np.zeros(2), "z": np.zeros(1)})


def test_only_images_that_the_net_reads_may_vary() -> None:
    """A batch of an Input layer in another size is a mistake, one of a database is another image."""
    data = 'layer { name: "d" type: "Data" top: "x" data_param { batch_size: 1 } }'
    reading = build(parse_net(data + layer("p", "ReLU", "x")), "TRAIN", {"x": (1, 3, 4, 5)})
    assert shapes_of(fitted(reading, {"x": np.zeros((1, 3, 9, 7))})) == {"x": (1, 3, 9, 7)}
    for shape in ((1, 1, 9, 7), (2, 3, 4, 5)):
        with pytest.raises(NetError, match="input 'x': shape"):
            fitted(reading, {"x": np.zeros(shape)})
    with pytest.raises(NetError, match="input 'x': shape"):
        fitted(net(), {"x": np.zeros((2, 3, 9, 7)), "y": np.zeros(2)})
