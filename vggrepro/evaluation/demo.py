"""The embedded miniature of ILSVRC: 500 handwritten digits, a net for them, and what real Caffe answers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.data.truth.ground_truth import Truth, open_truth
from vggrepro.demo import SCALE as SCALE
from vggrepro.evaluation.goals import CAFFE, Expectation, Goal
from vggrepro.evaluation.measuring.evaluated_net import MeanPixel
from vggrepro.evaluation.net_files import NetFiles
from vggrepro.evaluation.protocols import BEFORE, Member

FOLDER = Path(__file__).resolve().parents[1] / "demo"
NET = "VGG_A_digits"
FILES = NetFiles(NET, FOLDER / f"{NET}_deploy.prototxt", FOLDER / f"{NET}.caffemodel")
SYNSETS = FOLDER / "synset_words.txt"
IMAGES = FOLDER / "img_val.tar"
LABELS = FOLDER / "val.txt"


def _facts() -> Mapping[str, Any]:
    facts: Mapping[str, Any] = json.loads((FOLDER / "expected.json").read_text("utf-8"))
    return facts


def mean_bgr() -> MeanPixel:
    """The mean pixel that the net was trained with."""
    blue, green, red = _facts()["mean_bgr"]
    return blue, green, red


def truth() -> Truth:
    """The 500 validation images, read from their tar."""
    return open_truth(IMAGES, LABELS, SYNSETS)


def caffe_goals(average: str = BEFORE, *, expected: bool = True) -> list[Goal]:
    """A goal for every protocol that Caffe was asked about. Caffe's errors are those of all images, averaged
    before the softmax: they are expected unless ``average`` differs or ``expected`` is False."""
    return [
        Goal(
            name,
            (replace(_member(name), average=average),),
            expectation=Expectation(CAFFE, errors["top1_error_percent"], errors["top5_error_percent"])
            if expected and average == BEFORE
            else None,
        )
        for name, errors in _facts()["protocols"].items()
    ]


def expected_posteriors() -> dict[str, npt.NDArray[np.float32]]:
    """Caffe's posteriors (500, 10) by protocol."""
    with np.load(FOLDER / "expected_posteriors.npz") as stored:
        return {name: stored[name] for name in stored}


def _member(name: str) -> Member:
    """From a name such as ``dense_Q64,72,80_flip``."""
    match = re.fullmatch(r"(\w+)_Q([\d,]+)_(no)?flip", name)
    if match is None:
        raise ValueError(f"{FOLDER / 'expected.json'}: protocol {name!r}")
    scales = tuple(int(scale) for scale in match.group(2).split(","))
    return Member(NET, match.group(1), scales, flip=match.group(3) is None)
