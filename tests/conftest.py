"""A small network with its weights, and images to show it: everything an evaluation needs, in a folder."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from vggrepro.caffe.snapshot import write_caffemodel
from vggrepro.evaluation.net_files import NetFiles
from vggrepro.net import load_net

settings.register_profile("repeatable", derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
"""Property tests draw the same examples in every run, on busy machines too; HYPOTHESIS_PROFILE=default draws
new ones."""

CROP = 8
CLASSES = 7

PROTOTXT = """name: "tiny"
input: "data"
input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 4 kernel_size: 3 pad: 1 weight_filler { type: "gaussian" std: 0.02 } } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1"
  pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "fc6" type: "InnerProduct" bottom: "pool1" top: "fc6"
  inner_product_param { num_output: 9 weight_filler { type: "gaussian" std: 0.1 }
    bias_filler { type: "constant" value: 0.1 } } }
layer { name: "relu6" type: "ReLU" bottom: "fc6" top: "fc6" }
layer { name: "fc8" type: "InnerProduct" bottom: "fc6" top: "fc8"
  inner_product_param { num_output: 7 weight_filler { type: "gaussian" std: 0.3 } } }
layer { name: "prob" type: "Softmax" bottom: "fc8" top: "prob" }
"""


def write_net(folder: Path, name: str, seed: int) -> NetFiles:
    """The tiny net with random weights: deploy prototxt and caffemodel."""
    deploy, weights = folder / f"{name}.prototxt", folder / f"{name}.caffemodel"
    deploy.write_text(PROTOTXT)
    net = load_net(deploy, seed=seed)
    blobs = {p.name: [net.params[use.key] for use in p.params] for p in net.layers if p.params}
    write_caffemodel(weights, net.message, blobs)
    return NetFiles(name, deploy, weights)


@pytest.fixture
def nets(tmp_path: Path) -> list[NetFiles]:
    return [write_net(tmp_path, "one", 1), write_net(tmp_path, "two", 2)]


def write_images(folder: Path, count: int, seed: int = 0) -> None:
    """PNG pictures of several shapes, with Caffe's list ``val.txt`` beside their folder ``images``."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir()
    lines = []
    for number in range(count):
        height, width = [(13, 19), (19, 13), (17, 11), (12, 12)][rng.integers(4)]
        name = f"val_{number:03}.png"
        cv2.imwrite(str(folder / "images" / name), rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        lines.append(f"{name} {rng.integers(CLASSES)}\n")
    (folder / "val.txt").write_text("".join(lines))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with ``images/`` and ``val.txt``: 23 pictures of four shapes."""
    write_images(tmp_path, 23)
    return tmp_path
