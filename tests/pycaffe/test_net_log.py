"""What Caffe logs of a net, line by line, as programs that read its log find it."""

from __future__ import annotations

from pathlib import Path

import pytest
from nets import make

import vggrepro.pycaffe as caffe
from vggrepro.pycaffe.net_log import log_net

NET = """
layer { name: "d" type: "DummyData" top: "data" top: "label"
  dummy_data_param { shape { dim: 4 dim: 3 } shape { dim: 4 } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 3 } }
layer { name: "relu" type: "ReLU" bottom: "ip" top: "ip" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" loss_weight: 0.5 }
layer { name: "acc" type: "Accuracy" bottom: "ip" bottom: "label" top: "acc" }
"""

LINES = """Creating layer d
Creating Layer d
d -> data
d -> label
Setting up d
Top shape: 4 3 (12)
Top shape: 4 (4)
Memory required for data: 64
Creating layer label_d_1_split
Creating Layer label_d_1_split
label_d_1_split <- label
label_d_1_split -> label_d_1_split_0
label_d_1_split -> label_d_1_split_1
Setting up label_d_1_split
Top shape: 4 (4)
Top shape: 4 (4)
Memory required for data: 96
Creating layer ip
Creating Layer ip
ip <- data
ip -> ip
Setting up ip
Top shape: 4 3 (12)
Memory required for data: 144
Creating layer relu
Creating Layer relu
relu <- ip
relu -> ip (in-place)
Setting up relu
Top shape: 4 3 (12)
Memory required for data: 192
Creating layer ip_relu_0_split
Creating Layer ip_relu_0_split
ip_relu_0_split <- ip
ip_relu_0_split -> ip_relu_0_split_0
ip_relu_0_split -> ip_relu_0_split_1
Setting up ip_relu_0_split
Top shape: 4 3 (12)
Top shape: 4 3 (12)
Memory required for data: 288
Creating layer loss
Creating Layer loss
loss <- ip_relu_0_split_0
loss <- label_d_1_split_0
loss -> loss
Setting up loss
Top shape: (1)
    with loss weight 0.5
Memory required for data: 292
Creating layer acc
Creating Layer acc
acc <- ip_relu_0_split_1
acc <- label_d_1_split_1
acc -> acc
Setting up acc
Top shape: (1)
Memory required for data: 296
acc does not need backward computation.
loss needs backward computation.
ip_relu_0_split needs backward computation.
relu needs backward computation.
ip needs backward computation.
label_d_1_split does not need backward computation.
d does not need backward computation.
This network produces output acc
This network produces output loss
Network initialization done."""
"""What Caffe logs, but for a second "Creating layer loss" of the Softmax inside it."""


def test_the_lines_are_caffes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    net = make(tmp_path, NET, caffe.TEST)
    caffe.init_log(0)
    capfd.readouterr()
    log_net(net)
    said = [line.partition("] ")[2] for line in capfd.readouterr().err.splitlines() if "] " in line]
    assert said[0] == "Initializing net from parameters:"
    assert said[1:] == LINES.splitlines()
