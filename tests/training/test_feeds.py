"""Values of inputs in the shapes that a net takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from net_files import image, layer
from small_ssd import ssd_head, ssd_loss

import vggrepro
from vggrepro.caffe.text import parse_net
from vggrepro.errors import NetError
from vggrepro.layers.rules.right_boxes import example_rows
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


def test_lists_are_arrays_too() -> None:
    x = np.arange(120).reshape(2, 3, 4, 5)
    fitting = fitted(net(), {"x": x.tolist(), "y": [1, 2]})
    np.testing.assert_array_equal(fitting["x"], x)
    assert shapes_of(fitting) == {"x": (2, 3, 4, 5), "y": (2, 1, 1, 1)}


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


SSD = (
    """layer { name: "data" type: "AnnotatedData" top: "data" top: "label"
  data_param { source: "lmdb" batch_size: 2 } annotated_data_param { batch_sampler { max_sample: 1 } } }"""
    + ssd_head(3, conv=0.3, loc=0.3, conf=0.3)
    + ssd_loss(3)
)


def test_a_step_of_an_ssd_takes_any_number_of_boxes(tmp_path: Path) -> None:
    """The loss is the same however many rows the net was made for, and sizes are few."""
    (tmp_path / "net.prototxt").write_text(SSD)
    (tmp_path / "s.prototxt").write_text(
        f'net: "{tmp_path}/net.prototxt" base_lr: 0.01 lr_policy: "fixed" momentum: 0.9 random_seed: 3'
    )
    rng = np.random.default_rng(0)
    batches = [
        {"data": rng.random((2, 3, 20, 20), np.float32), "label": example_rows(number, 2, rng)}
        for number in (3, 1, 5, 11, 8, 15)
    ]
    batches.append({"data": batches[0]["data"], "label": np.full((1, 1, 1, 8), -1, np.float32)})
    losses = {}
    for rows in (4, 16):
        shapes = {"data": (2, 3, 20, 20), "label": (1, 1, rows, 8)}
        solver = vggrepro.Solver(tmp_path / "s.prototxt", input_shapes=shapes, threads=1)
        losses[rows] = [solver.step([batch]) for batch in batches]
        made = {fitted(solver.net, batch)["label"].shape[2] for batch in batches}
        assert made == ({4, 8, 16} if rows == 4 else {16})
    np.testing.assert_allclose(losses[4], losses[16], rtol=1e-6)
    assert len(set(losses[4])) == len(batches) and losses[4][0] > 0
    with pytest.raises(NetError, match=r"input 'label': shape \(1, 2, 3, 8\), expected"):
        solver.step([{**batches[0], "label": np.zeros((1, 2, 3, 8))}])
