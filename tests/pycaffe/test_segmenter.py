"""The class of every pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from nets import write
from numpy.testing import assert_array_equal

import vggrepro.pycaffe as caffe

NET = """
input: "data" input_shape { dim: 1 dim: 3 dim: 4 dim: 5 }
layer { name: "score" type: "Convolution" bottom: "data" top: "score" convolution_param {
  num_output: 6 kernel_size: 1 weight_filler { type: "gaussian" std: 1 } } }
"""


def test_segmenter(tmp_path: Path) -> None:
    path, weights = write(tmp_path, NET), str(tmp_path / "w.caffemodel")
    caffe.Net(path, caffe.TEST).save(weights)
    net = caffe.Segmenter(path, weights, False)
    images = list(np.random.default_rng(2).normal(size=(3, 4, 5, 3)))
    found = net.predict(images)
    assert found.dtype == np.uint8 and found.shape == (4, 5)
    scores = np.einsum("hwk,ck->chw", images[0], net.params["score"][0].data[:, :, 0, 0])
    assert_array_equal(found, scores.argmax(0))
