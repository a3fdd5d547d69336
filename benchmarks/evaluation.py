#!/usr/bin/env python3
"""A dense evaluation from end to end against the bare session on prepared arrays; and its memory.

    python benchmarks/evaluation.py --json benchmarks/results/evaluation.json

VGG-16 at Q=256 on two CPU threads (or --device cuda), random weights, pictures of 500 x 375 pixels in a
tar with every fourth of another shape, as ILSVRC's are mixed. End to end is what eval_ilsvrc does: read,
decode, rescale, batch by size, run, average, keep. The bare session gets the very same batches as arrays
that are ready in memory. Windows are short, so that decoding is part of what is timed: each turn is
timed from the end of its first window, when the second has been decoded, to its own end. Both run in
turns, and the median of the rounds' ratios counts. Then the embedded digits are evaluated as 500 and as
5,000 images, each in a process of its own: the peak of memory must be the same. Exit code 1 if the ratio
of throughputs is below --at-least, or memory grows by more than --grow-at-most.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from machine import machine
from pictures import picture, write_tar

from vggrepro.data.augment import ILSVRC_MEAN_BGR
from vggrepro.data.sources import TarSource, select
from vggrepro.data.truth.ground_truth import Truth
from vggrepro.evaluation import demo
from vggrepro.evaluation.evaluate import evaluate
from vggrepro.evaluation.goals import EvaluationPlan
from vggrepro.evaluation.measuring.evaluated_net import EvaluatedNet, Scorer, score_blob
from vggrepro.evaluation.measuring.measurement import StreamCaches
from vggrepro.evaluation.measuring.pipeline import Execution, ImageSet, Pipeline
from vggrepro.evaluation.measuring.view_cache import ViewCache
from vggrepro.evaluation.protocols import Stream
from vggrepro.net import load_net
from vggrepro.system.ranks import Alone

DEPLOY = Path(__file__).parent.parent / "prototxt" / "D" / "deploy.prototxt"
STREAM = Stream("D", "dense", 256, flip=False)
WINDOW = 16
SHAPES = [(375, 500), (375, 500), (375, 500), (500, 333)]


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    if arguments.memory_of is not None:
        print(json.dumps(memory_of(arguments.memory_of)))
        return 0
    memory = measure_memory()  # first: a child's peak counts from what its parent had
    speed = measure_speed(arguments)
    packages = (
        "vggrepro",
        "numpy",
        "opencv-python",
        "opencv-python-headless",
        "onnxruntime-gpu",
        "onnxruntime",
    )
    result = {"machine": machine(*packages), "speed": speed, "memory": memory}
    print(json.dumps(result, indent=1))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    fast = speed["ratio"] >= arguments.at_least
    flat = memory["growth"] <= arguments.grow_at_most
    return 0 if fast and flat else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=96, metavar="N", help="images of a turn (default: 96)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="turns of each (default: 3)")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="CPU threads (default: 2)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
    parser.add_argument(
        "--batch", type=int, default=8, metavar="N", help="as eval_ilsvrc --batch (default: 8)"
    )
    parser.add_argument(
        "--at-least", type=float, default=0.9, metavar="R", help="ratio to reach (default: 0.9)"
    )
    parser.add_argument(
        "--grow-at-most",
        type=float,
        default=0.1,
        metavar="R",
        help="growth of the peak of memory from 500 to 5,000 images that is allowed (default: 0.1)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result")
    parser.add_argument("--memory-of", type=int, metavar="N", help=argparse.SUPPRESS)
    return parser


def measure_speed(arguments: argparse.Namespace) -> dict[str, Any]:
    """Images a second of both, and their ratio."""
    running = Execution(arguments.device, arguments.threads, arguments.batch, WINDOW, workers=2)
    network = vgg16()
    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(1)
        pictures = [picture(rng, *SHAPES[n % len(SHAPES)]) for n in range(arguments.images)]
        source = TarSource.open(write_tar(Path(folder) / "val.tar", pictures))
        bare = Bare(network, source, running)
        rounds = []
        for number in range(arguments.rounds):
            alone = bare.rate()
            whole = end_to_end(network, source, running, Path(folder) / f"{number}")
            rounds.append({"bare": alone, "end_to_end": whole, "ratio": whole / alone})
    return {
        "device": arguments.device,
        "threads": arguments.threads,
        "images": arguments.images,
        "images_per_second": rounds,
        "ratio": statistics.median(r["ratio"] for r in rounds),
    }


def vgg16() -> EvaluatedNet:
    """Configuration D with random weights of a size that keeps activations in range."""
    net = load_net(DEPLOY)
    rng = np.random.default_rng(0)
    params = {
        use.key: rng.standard_normal(use.definition.shape, np.float32)
        * np.float32(np.sqrt(2 / max(1, np.prod(use.definition.shape[1:]))))
        for use in net.param_uses
    }
    net = net.with_params(params)
    blob = score_blob(net)
    classes = net.shapes[net.blobs[blob]][1]
    return EvaluatedNet("D", net, "data", 224, blob, classes, ILSVRC_MEAN_BGR, "random", "random")


class Bare:
    """The session alone, on the batches that an evaluation makes."""

    def __init__(self, network: EvaluatedNet, source: TarSource, running: Execution) -> None:
        self.blobs: list[npt.NDArray[np.float32]] = []
        self.scorer = Scorer(network, running.device, convolutional=True, threads=running.threads)
        pipeline = Pipeline(ImageSet.whole(source), (STREAM,), network.crop, network.mean, running)
        for _ in pipeline.all_answers(self._keep):
            pass

    def _keep(self, _stream: Stream, blob: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        self.blobs.append(blob)
        return np.zeros((len(blob), 1), np.float32)

    def rate(self) -> float:
        self.scorer(self.blobs[0])
        began = time.perf_counter()
        for blob in self.blobs[1:]:
            self.scorer(blob)
        return sum(map(len, self.blobs[1:])) / (time.perf_counter() - began)


@dataclass
class Clock:
    """Times from the ``first`` image's end to the last one's."""

    first: int
    done: float = 0.0
    began: float = 0.0
    ended: float = 0.0

    def advance(self, images: float) -> None:
        self.done += images
        self.ended = time.perf_counter()
        if round(self.done) == self.first:
            self.began = self.ended

    @property
    def rate(self) -> float:
        return (self.done - self.first) / (self.ended - self.began)


def end_to_end(network: EvaluatedNet, source: TarSource, running: Execution, folder: Path) -> float:
    """Images a second of what eval_ilsvrc does between loading the network and averaging."""
    clock = Clock(first=running.window)
    with ViewCache(folder, {}, len(source)) as cache:
        cache.create(STREAM, network.channels, {})
        with StreamCaches(cache, [STREAM]) as caches:
            caches.fill(network, ImageSet.whole(source), running, Alone(), clock.advance)
    return clock.rate


def measure_memory() -> dict[str, Any]:
    """Peak memory of evaluations of 500 and of 5,000 images, each in a fresh process."""
    peaks = {}
    for images in (500, 5000):
        command = [sys.executable, __file__, "--memory-of", str(images)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        peaks[images] = json.loads(done.stdout)["peak_mb"]
    return {"peak_mb": peaks, "growth": peaks[5000] / peaks[500] - 1}


def memory_of(images: int) -> dict[str, float]:
    """Evaluate the embedded digits, again and again, as so many images."""
    truth = demo.truth()
    indices = np.arange(images) % len(truth.source)
    many = Truth(select(truth.source, indices), truth.labels[indices], truth.where, truth.synsets)
    goals = [goal for goal in demo.caffe_goals() if goal.name == "dense_Q64,72,80_flip"]
    plan = EvaluationPlan(goals, [demo.FILES], demo.mean_bgr())
    report = evaluate(plan, many, ImageSet.whole(many.source), Execution(threads=1), Alone(), None)
    assert report is not None
    assert report.results.images == images
    scale = 1 if sys.platform == "darwin" else 1024
    return {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 1e6}


if __name__ == "__main__":
    sys.exit(main())
