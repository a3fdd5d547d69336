"""The recipe of the presets trains: net A at full size, on a few images, by the command itself."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from vggrepro.cli.train_ilsvrc import main

CLASSES, OF_EACH = 5, 4


def write_textures(folder: Path) -> Path:
    """Images of 300x340 pixels, ``folder/WNID/WNID_I.png``, about as bright and as varied as ILSVRC's: smooth
    shapes of the class's own, with noise. They are made, not found."""
    rng = np.random.default_rng(0)
    for label in range(CLASSES):
        wnid = f"n{1440764 + label:08d}"
        (folder / wnid).mkdir(parents=True)
        shapes = rng.normal(0, 1, (6, 6, 3))
        for index in range(OF_EACH):
            drawn = shapes + rng.normal(0, 0.5, shapes.shape)
            smooth = cv2.resize(drawn, (340, 300), interpolation=cv2.INTER_CUBIC)
            grey = smooth.mean(axis=2, keepdims=True)
            image = 117 + 85 * grey + 15 * smooth + rng.normal(0, 20, smooth.shape)
            path = folder / wnid / f"{wnid}_{index}.png"
            assert cv2.imwrite(str(path), image.clip(0, 255).astype(np.uint8))
    return folder


def losses(folder: Path, *more: str) -> list[float]:
    """The loss of each iteration of net A, 4 images an iteration, without tests."""
    log = folder / "log.jsonl"
    code = main([
        "--preset", "A:256", "--batch", "4", "--device", "cpu", "--seed", "1", "--workers", "1",
        "--data", str(write_textures(folder / "train")), "--no-test", "--log", str(log),
        "--snapshot-prefix", str(folder / "a"), "--set", "snapshot_after_train: false",
        "--set", 'lr_policy: "fixed" max_iter: 5 display: 1 average_loss: 1', *more,
    ])  # fmt: skip
    assert code == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [line["loss"] for line in lines if line["event"] == "train"]


@pytest.mark.slow
def test_net_a_begins_near_chance_and_stays_finite(tmp_path: Path) -> None:
    found = losses(tmp_path)
    assert len(found) == 5
    # ln(1000) is 6.9 where all scores are equal; Glorot's are spread by nearly 2 at pixels of 0-255.
    assert abs(found[0] - math.log(1000)) < 3
    assert np.isfinite(found).all()
    assert max(found) < 20
