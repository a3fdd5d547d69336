"""Names and parameters of the net that is written."""

from __future__ import annotations

import numpy as np

from vggrepro.graph.to_caffe.caffe_writer import CaffeWriter


def test_layers_are_named_after_their_tops_and_each_name_is_used_once() -> None:
    out = CaffeWriter()
    out.layer("ReLU", ["x"], ["a"])
    out.layer("ReLU", ["a"], ["b"], name="a")
    out.tensors["c"] = "b"
    layer = out.layer("InnerProduct", ["c"], ["d"], [np.ones((2, 3))])
    assert [one.name for one in out.message.layer] == ["a", "a_2", "d"]
    assert list(layer.bottom) == ["b"]
    assert out.blobs["d"][0].dtype == np.float32
