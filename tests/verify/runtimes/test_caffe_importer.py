"""What is asked of OpenCV 4's importer, and which interpreter runs it."""

import os

import numpy as np
import pytest

from vggrepro.caffe.snapshot import write_caffemodel
from vggrepro.net import load_net
from vggrepro.net.transforms.opencv_names import with_opencv_names
from vggrepro.verify.runtimes.caffe_importer import check_importer, importer
from vggrepro.verify.runtimes.written import Example

OPENCV4 = os.environ.get("OPENCV4_PYTHON", "")

NET = """input: "data" input_dim: 1 input_dim: 4 input_dim: 8 input_dim: 6
layer { name: "conv" type: "Convolution" bottom: "data" top: "score"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "score" top: "score" }
layer { name: "fc" type: "InnerProduct" bottom: "score" top: "fc_top"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "halves" type: "Slice" bottom: "data" top: "a" top: "b" }
layer { name: "sum" type: "Eltwise" bottom: "b" bottom: "a" top: "a_b" }"""


@pytest.mark.skipif(not OPENCV4, reason="OPENCV4_PYTHON names no interpreter with OpenCV 4")
def test_opencvs_names_are_what_its_layers_give(tmp_path):
    prototxt, weights = tmp_path / "net.prototxt", tmp_path / "net.caffemodel"
    prototxt.write_text(NET)
    net = load_net(prototxt)
    blobs = {p.name: [net.params[use.key] for use in p.params] for p in net.layers if p.params}
    write_caffemodel(weights, net.message, blobs)
    named = with_opencv_names(net)
    x = np.random.default_rng(0).standard_normal((1, 4, 8, 6), np.float32)
    outputs = [blob for blob in named.blobs if blob not in named.inputs]
    (check,) = check_importer(
        prototxt, weights, importer(OPENCV4), [Example("noise", named, {"data": x})], 1e-5, outputs
    )
    assert check.passed, check.complaint()
    assert [difference.blob for difference in check.differences] == ["score", "relu", "fc", "halves", "sum"]


def test_it_runs_under_another_interpreter():
    assert importer("/usr/bin/python4").python == "/usr/bin/python4"
