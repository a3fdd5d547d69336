"""train_ilsvrc --demo: a miniature of net A learns the embedded digits, and is evaluated on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vggrepro.cli.options.evaluation import ProtocolOptions, ReadingOptions, RunningOptions
from vggrepro.cli.options.refuse import refuse_with_demo
from vggrepro.cli.options.training_images import AugmentationOptions, ImageOptions
from vggrepro.cli.verdict import show
from vggrepro.evaluation import demo
from vggrepro.evaluation.evaluate import evaluate
from vggrepro.evaluation.goals import EvaluationPlan, Goal
from vggrepro.evaluation.measuring.evaluated_net import Mean
from vggrepro.evaluation.net_files import NetFiles
from vggrepro.system.ranks import Alone

SOLVER = demo.FOLDER / "VGG_A_digits_solver.prototxt"
SETTINGS = ['snapshot_prefix: "runs/demo/vgg_a_digits"']
"""Fields of the solver that differ from its file, written as in that file."""
SMALLEST = (64, 84)
"""The range that S is drawn from, for crops of 64 pixels."""
PATIENCE = 2
"""Tests, every 200 iterations, without a better accuracy before the rate drops."""


def demo_images(images: ImageOptions) -> ImageOptions:
    """The embedded images. Raises OptionError for options that name others."""
    refuse_with_demo(images, "data", "data_list", "val", "val_labels", "synsets", "devkit")
    return replace(
        images,
        data=demo.FOLDER / "img_train.tar",
        data_list=demo.FOLDER / "train.txt",
        val=demo.IMAGES,
        val_labels=demo.LABELS,
        synsets=demo.SYNSETS,
    )


def demo_augmentation(given: AugmentationOptions) -> AugmentationOptions:
    """What suits the digits, wherever nothing else is ``given``.

    Digits are not mirrored: they would be other signs. (The paper's objects stay what they are.)
    """
    mean = given.mean if given.statistics is not None else given.mean or demo.mean_bgr()
    return replace(
        given,
        smallest=given.smallest or SMALLEST,
        val_smallest=given.val_smallest or demo.SCALE,
        mean=mean,
        flip=bool(given.flip),
    )


def evaluate_demo(weights: Path, mean: Mean, reading: ReadingOptions, running: RunningOptions) -> None:
    """Print top-1 and top-5 error of trained weights by the paper's protocols, at three scales, without
    mirror images."""
    files = NetFiles(weights.stem, demo.FILES.deploy, weights)
    truth = demo.truth()
    for protocol, scales in (("centre", (72,)), ("dense", (72,)), ("dense", (64, 72, 80))):
        member = ProtocolOptions(protocol, flip=False).member(files.name, scales)
        plan = EvaluationPlan([Goal(str(member), (member,))], [files], mean)
        report = evaluate(plan, truth, reading.whole(truth.source), running.running(), Alone(), None)
        if report is not None:
            show(report)
