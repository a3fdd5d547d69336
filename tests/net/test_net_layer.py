"""A layer in its place."""

from __future__ import annotations

from vggrepro.caffe.messages import LayerParameter
from vggrepro.layers.registry import layer_class
from vggrepro.net.net_layer import NetLayer, place_of


def test_a_layer_says_its_place_and_where_gradients_may_go() -> None:
    message = LayerParameter(name="conv1/7x7", type="ReLU", bottom=["x"], propagate_down=[False])
    layer = layer_class("ReLU").from_param(message, 1)
    net_layer = NetLayer("conv1/7x7", layer, message, ("x",), ("y",), (), (0.0,))
    assert net_layer.place == place_of(message) == "layer 'conv1/7x7'"
    assert net_layer.propagate_down == (False,)
