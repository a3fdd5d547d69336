"""train_ilsvrc --demo: a miniature of net A learns the embedded digits, and is evaluated on them."""

from __future__ import annotations

import argparse
from pathlib import Path

from vggrepro.cli import eval_ilsvrc
from vggrepro.evaluation import demo

SOLVER = demo.FOLDER / "VGG_A_digits_solver.prototxt"
PREFIX = "runs/demo/vgg_a_digits"
SMALLEST = (64, 84)
"""The range that S is drawn from, for crops of 64 pixels."""
PATIENCE = 2
"""Tests, every 200 iterations, without a better accuracy before the rate drops."""


def complete(arguments: argparse.Namespace) -> None:
    """What --demo means, wherever the command line says nothing else.

    Digits are not mirrored: they would be other signs. (The paper's objects stay what they are.)
    """
    arguments.config = SOLVER
    arguments.data, arguments.data_list = demo.FOLDER / "img_train.tar", demo.FOLDER / "train.txt"
    arguments.val, arguments.val_labels = demo.IMAGES, demo.LABELS
    arguments.synsets = demo.SYNSETS
    arguments.flip = False
    arguments.mean = arguments.mean or demo.mean_bgr()
    arguments.smallest = arguments.smallest or SMALLEST
    arguments.val_smallest = arguments.val_smallest or demo.SCALE
    arguments.patience = arguments.patience or PATIENCE
    arguments.snapshot_prefix = arguments.snapshot_prefix or PREFIX


def evaluate(weights: Path) -> int:
    """Top-1 and top-5 error of trained weights by the paper's protocols, at three scales, without mirror
    images."""
    mean = ",".join(map(str, demo.mean_bgr()))
    common = ["--images", str(demo.IMAGES), "--labels", str(demo.LABELS), "--synsets", str(demo.SYNSETS)]
    common += ["--deploy", str(demo.FILES.deploy), "--weights", str(weights), "--mean", mean, "--no-flip"]
    for protocol, scales in (("centre", "72"), ("dense", "72"), ("dense", "64,72,80")):
        code = eval_ilsvrc.main([*common, "--protocol", protocol, "--scales", scales])
        if code:
            return code
    return 0
