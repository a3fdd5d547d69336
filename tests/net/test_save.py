"""Saving a net's parameters, and reading them again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from net_files import image, layer, net_of

import vggrepro
from vggrepro.errors import WeightsError
from vggrepro.net import Net
from vggrepro.net.save import save_net

PRODUCT = 'inner_product_param { num_output: 2 weight_filler { type: "xavier" } }'
SHARED = 'param { name: "w" } inner_product_param { num_output: 3 bias_term: false }'
TEXT = (
    image(2, 3)
    + layer("a", "InnerProduct", "data", more=SHARED)
    + layer("b", "InnerProduct", "a", more=SHARED)
)


def a_net(tmp_path: Path) -> Net:
    norm = layer("norm", "BatchNorm", "b") + layer("ip", "InnerProduct", "norm", more=PRODUCT)
    return net_of(tmp_path, TEXT + norm)


@pytest.mark.parametrize("name", ["w.caffemodel", "w.h5", "w.caffemodel.h5"])
def test_what_is_saved_is_loaded(tmp_path: Path, name: str) -> None:
    net = a_net(tmp_path)
    edited = net.with_params({"ip:1": [5.0, -1.0]})
    vggrepro.save_weights(edited, tmp_path / name)
    again = vggrepro.load_net(tmp_path / "net.prototxt", tmp_path / name)
    assert again.params.keys() == net.params.keys()
    for key, array in edited.params.items():
        np.testing.assert_array_equal(again.params[key], array, err_msg=key)
    np.testing.assert_array_equal(again.params["ip:1"], [5, -1])
    assert again.loaded == {"a:0", "norm:0", "norm:1", "norm:2", "ip:0", "ip:1"}


def test_other_endings_and_nets_without_values(tmp_path: Path) -> None:
    net = a_net(tmp_path)
    with pytest.raises(WeightsError, match=r"w\.onnx: expected a name that ends in \.caffemodel or \.h5"):
        vggrepro.save_weights(net, tmp_path / "w.onnx")
    empty = vggrepro.load_net(tmp_path / "net.prototxt", fill=False)
    with pytest.raises(WeightsError, match=r"w\.h5: the net has no values of a:0 to write"):
        vggrepro.save_weights(empty, tmp_path / "w.h5")
    assert {path.name for path in tmp_path.iterdir()} == {"net.prototxt"}


def test_a_definition_and_its_weights_are_written_together(tmp_path: Path) -> None:
    net = a_net(tmp_path)
    text = (tmp_path / "net.prototxt").read_text()
    prototxt, caffemodel = tmp_path / "saved.prototxt", tmp_path / "saved.caffemodel"
    save_net(net, text, prototxt, caffemodel)
    np.testing.assert_array_equal(vggrepro.load_net(prototxt, caffemodel).params["a:0"], net.params["a:0"])
    prototxt.write_text("old")
    caffemodel.unlink()
    caffemodel.mkdir()
    with pytest.raises(OSError, match=r"saved\.caffemodel"):
        save_net(net, text, prototxt, caffemodel)
    assert prototxt.read_text() == "old"
