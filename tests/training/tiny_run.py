"""A whole training run in miniature: pictures of 12 pixels, a net of three layers, a solver."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vggrepro.caffe.weights import read_weights

CLASSES = 4
SIDE = 8

NET = """
name: "tiny"
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TRAIN }
  transform_param { crop_size: 8 mean_value: 120 mean_value: 110 mean_value: 130 }
  data_param { source: "none" batch_size: 8 } }
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TEST }
  transform_param { crop_size: 8 } data_param { source: "none" batch_size: 5 } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 6 kernel_size: 3 pad: 1 weight_filler { type: "gaussian" std: 0.01 } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "drop" type: "Dropout" bottom: "conv" top: "conv" }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool"
  pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
layer { name: "accuracy" type: "Accuracy" bottom: "fc" bottom: "label" top: "accuracy"
  include { phase: TEST } }
"""

SOLVER: dict[str, Any] = {
    "net": '"net.prototxt"',
    "base_lr": 0.0005,
    "lr_policy": '"fixed"',
    "momentum": 0.9,
    "weight_decay": 0.01,
    "max_iter": 20,
    "random_seed": 3,
    "solver_mode": "CPU",
}

TESTED = {"test_iter": 1, "test_interval": 4, "test_initialization": "false"}


def write_pictures(folder: Path, count: int, seed: int = 0) -> Path:
    """``count`` pictures of each class, ``folder/n0000000K/n0000000K_I.png``: a class has a colour."""
    rng = np.random.default_rng(seed)
    for label in range(CLASSES):
        wnid = f"n0000000{label}"
        (folder / wnid).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            noise = rng.integers(0, 120, (12, 14, 3))
            noise[..., label % 3] += 60 * (1 + label // 3)
            cv2.imwrite(str(folder / wnid / f"{wnid}_{index}.png"), noise.astype(np.uint8))
    return folder


def write_solver(folder: Path, net: str = NET, **fields: Any) -> Path:
    """The net and its solver; ``fields`` replace or add to those of SOLVER."""
    (folder / "net.prototxt").write_text(net)
    lines = [f"{name}: {value}" for name, value in {**SOLVER, **fields}.items()]
    (folder / "solver.prototxt").write_text("\n".join(lines) + "\n")
    return folder / "solver.prototxt"


def command_line(folder: Path, prefix: str, *more: str) -> list[str]:
    """Arguments for train_ilsvrc on the pictures of ``folder/train`` and ``folder/val``."""
    return [
        "--config", str(folder / "solver.prototxt"),
        "--data", str(folder / "train"),
        "--val", str(folder / "val"),
        "--smallest", "8,12",
        "--threads", "1",
        "--workers", "1",
        "--snapshot-prefix", str(folder / prefix),
        *more,
    ]  # fmt: skip


def prepare(folder: Path, **fields: Any) -> Path:
    """Pictures, net and solver in one folder."""
    write_pictures(folder / "train", 5)
    write_pictures(folder / "val", 3, seed=1)
    return write_solver(folder, **{**TESTED, **fields})


def arrays(path: Path) -> dict[str, np.ndarray]:
    """The weights of a file by ``layer:index``."""
    return {f"{w.name}:{i}": np.array(b.data) for w in read_weights(path) for i, b in enumerate(w.blobs)}


def assert_same_weights(one: Path, other: Path) -> None:
    """Bit for bit."""
    first, second = arrays(one), arrays(other)
    assert first.keys() == second.keys()
    for key, array in first.items():
        np.testing.assert_array_equal(array, second[key], err_msg=key)


TOOL = Path(__file__).resolve().parents[2] / "tools" / "train_ilsvrc.py"


def process(arguments: list[str]) -> list[str]:
    """The command in a process of its own."""
    return [sys.executable, str(TOOL), *arguments]


def environment() -> dict[str, str]:
    """One thread for every library: tests run beside others."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}
