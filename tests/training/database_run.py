"""A whole training on a net's own data layers: a database of 40 noisy images, a small net, its solver."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lmdb
import numpy as np

from vggrepro.caffe.messages import Datum
from vggrepro.cli.train_ilsvrc import main

DATA = """
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TRAIN }
  transform_param { scale: 0.01 } data_param { source: "db" backend: LMDB batch_size: 8 } }
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TEST }
  transform_param { scale: 0.01 } data_param { source: "db" backend: LMDB batch_size: 10 } }
"""

BODY = """
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 stride: 2 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool"
  pooling_param { pool: AVE global_pooling: true } }
layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
"""

LOSS = """
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
layer { name: "accuracy" type: "Accuracy" bottom: "fc" bottom: "label" top: "accuracy"
  include { phase: TEST } }
"""

SOLVER: dict[str, Any] = {
    "net": '"net.prototxt"',
    "base_lr": 0.05,
    "momentum": 0.9,
    "lr_policy": '"fixed"',
    "display": 1,
    "max_iter": 2,
    "random_seed": 1,
    "test_iter": 4,
    "test_interval": 1,
    "solver_mode": "CPU",
}


def write_database(folder: Path, labels: list[int], shape: tuple[int, int, int] = (3, 20, 22)) -> None:
    """``folder/db``: an LMDB of a Datum for each of the labels."""
    rng = np.random.default_rng(0)
    with lmdb.open(str(folder / "db")) as environment, environment.begin(write=True) as transaction:
        for index, label in enumerate(labels):
            channels, height, width = shape
            pixels = rng.integers(0, 256, shape, dtype=np.uint8).tobytes()
            datum = Datum(channels=channels, height=height, width=width, data=pixels, label=label)
            transaction.put(f"{index:08}".encode(), datum.SerializeToString())


def write_run(folder: Path, net: str = DATA + BODY + LOSS, **fields: Any) -> Path:
    """The net and its solver."""
    (folder / "net.prototxt").write_text(f'name: "t" {net}')
    lines = [f"{name}: {value}" for name, value in {**SOLVER, **fields}.items()]
    (folder / "solver.prototxt").write_text("\n".join(lines) + "\n")
    return folder / "solver.prototxt"


def prepare(folder: Path, net: str = DATA + BODY + LOSS, **fields: Any) -> Path:
    """Database, net and solver in one folder."""
    write_database(folder, [index % 4 for index in range(40)])
    return write_run(folder, net, **fields)


def train(folder: Path, *more: str) -> int:
    """The command's exit code."""
    return main(["--config", str(folder / "solver.prototxt"), "--threads", "1", *more])


def log(folder: Path, kind: str) -> list[dict[str, Any]]:
    """The log's events of a kind."""
    events = [json.loads(line) for line in (folder / "solver.jsonl").read_text().splitlines()]
    return [event for event in events if event["event"] == kind]
