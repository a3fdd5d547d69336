"""Nets and command lines that the tests of Caffe's command share."""

from __future__ import annotations

import re
import sys

from vggrepro import pycaffe
from vggrepro.cli.main import main

NET = """name: "small"
layer { name: "data" type: "DummyData" top: "data" top: "label" dummy_data_param {
  shape { dim: 4 dim: 1 dim: 8 dim: 8 } shape { dim: 4 }
  data_filler { type: "gaussian" std: 1 } data_filler { type: "constant" value: 2 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1" convolution_param {
  num_output: 3 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "ip" type: "InnerProduct" bottom: "conv1" top: "ip" inner_product_param {
  num_output: 5 weight_filler { type: "xavier" } } include { not_stage: "headless" } }
layer { name: "accuracy" type: "Accuracy" bottom: "ip" bottom: "label" top: "accuracy"
  include { phase: TEST not_stage: "headless" } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss"
  include { not_stage: "headless" } }
"""

SOLVER = """net: "net.prototxt" test_iter: 2 test_interval: 5 base_lr: 0.01 lr_policy: "fixed" display: 5
max_iter: 10 snapshot: 5 snapshot_prefix: "snap" random_seed: 1 solver_mode: CPU
"""


def caffe(*arguments: str) -> int:
    """Run the command, which ends its process otherwise: what it has made of ``import caffe`` is undone."""
    try:
        return main(["caffe", *arguments])
    finally:
        pycaffe.allow_python_layers(False)
        for name in [name for name in sys.modules if name.partition(".")[0] == "caffe"]:
            del sys.modules[name]


def messages(stderr: str) -> list[str]:
    """What glog's lines say, each of which has its proper form."""
    lines = [line for line in stderr.splitlines() if re.match(r"[IWEF]\d{4} ", line)]
    matches = [re.fullmatch(r"I\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ \w+\.\w+(?::\d+)?\] (.*)", x) for x in lines]
    return [match.group(1) for match in matches if match]
