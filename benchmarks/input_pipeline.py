#!/usr/bin/env python3
"""The training loader against a bare loop of cv2 decode and resize on the same threads.

    python benchmarks/input_pipeline.py --threads 2 --json benchmarks/results/input_pipeline.json

Pictures of 500 x 375 pixels and about 110 kB, ILSVRC's averages, are made and packed into a tar by another
process, so that the C library's heap is that of a program which has just begun. The bare loop has the encoded
bytes in memory and does nothing but ``imdecode`` and ``resize``; the loader reads the tar, draws, decodes,
rescales, crops, flips, and fills batches. Both see the same images at the same sizes, in turns, and the
medians over the rounds are compared. Exit code 1 if a ratio is below --at-least.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from machine import machine
from pictures import picture, write_tar
from turns import run_apart

from vggrepro.data.augment import Augmentation
from vggrepro.data.loader import TrainingLoader
from vggrepro.data.opencv import opencv
from vggrepro.data.preprocess import rescaled_size
from vggrepro.data.random_streams import Purpose, stream
from vggrepro.data.reading import BadImages, Reader
from vggrepro.data.sources import Source, TarSource, with_labels

SEED = 1


@dataclass(frozen=True)
class Rate:
    """Images per second, and processor seconds (all threads) for an image: the latter tell something
    even where other processes take part of the time."""

    images_per_s: float
    cpu_s: float


@dataclass(frozen=True)
class Clock:
    wall: float
    cpu: float

    @classmethod
    def now(cls) -> Clock:
        return cls(time.perf_counter(), time.process_time())

    def rate(self, begin: Clock, images: int) -> Rate:
        return Rate(images / (self.wall - begin.wall), (self.cpu - begin.cpu) / images)


def bare_rate(work: Sequence[tuple[bytes, int]], threads: int) -> Rate:
    """Rate of decode and resize alone; the threads take them off one list."""
    remaining = iter(work)  # taking the next item is atomic in CPython

    def loop(_: int) -> None:
        for data, smallest in remaining:
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            height, width = rescaled_size(pixels.shape[0], pixels.shape[1], smallest)
            cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)

    with ThreadPoolExecutor(threads) as pool:
        begin = Clock.now()
        list(pool.map(loop, range(threads)))
        return Clock.now().rate(begin, len(work))


def loader_rate(loader: TrainingLoader, start: int, iterations: int) -> Rate:
    """Rate from the first batch's request to the last one's arrival."""
    begin = Clock.now()
    images = sum(len(batch.labels) for batch in loader.batches(start, start + iterations))
    return Clock.now().rate(begin, images)


def compare(source: Source, smallest: tuple[int, int], arguments: argparse.Namespace) -> dict[str, Any]:
    """Both rates in turns, over the same images and sizes."""
    augmentation = Augmentation(smallest)
    reader = Reader(source, BadImages())
    loader = TrainingLoader(
        reader, augmentation, batch=arguments.batch, seed=SEED, threads=arguments.threads, ahead=2
    )
    bare, loaded = [], []
    for turn in range(arguments.rounds + 1):
        start = turn * arguments.iterations
        work = []
        for iteration in range(start, start + arguments.iterations):
            for epoch, image in loader.places(iteration):
                drawn = stream(SEED, Purpose.IMAGE, epoch, image).random()
                data = source.read(image)
                assert isinstance(data, bytes)
                work.append((data, augmentation.drawn_smallest(drawn)))
        bare.append(bare_rate(work, arguments.threads))
        loaded.append(loader_rate(loader, start, arguments.iterations))
    bare, loaded = bare[1:], loaded[1:]  # the first round warms caches
    ratios = [ours.images_per_s / theirs.images_per_s for ours, theirs in zip(loaded, bare, strict=True)]
    return {
        "smallest": list(smallest),
        "bare_images_per_s": statistics.median(rate.images_per_s for rate in bare),
        "loader_images_per_s": statistics.median(rate.images_per_s for rate in loaded),
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "bare_cpu_us": 1e6 * statistics.median(rate.cpu_s for rate in bare),
        "loader_cpu_us": 1e6 * statistics.median(rate.cpu_s for rate in loaded),
    }


def make_tar(path: Path, images: int) -> None:
    """A tar of so many different pictures."""
    rng = np.random.default_rng(SEED)
    write_tar(path, [picture(rng) for _ in range(images)])


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--threads", type=int, default=2, help="threads of both (default: 2)")
    parser.add_argument("--images", type=int, default=256, help="different pictures (default: 256)")
    parser.add_argument("--batch", type=int, default=64, help="images a batch (default: 64)")
    parser.add_argument("--iterations", type=int, default=8, help="batches a round (default: 8)")
    parser.add_argument("--rounds", type=int, default=15, help="rounds, after one to warm up (default: 15)")
    parser.add_argument("--at-least", type=float, default=0.9, help="ratio to reach (default: 0.9)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result here too")
    arguments = parser.parse_args(argv)
    opencv()  # one thread for each call of OpenCV, in both loops
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.tar"
        run_apart(make_tar, path, arguments.images)
        tar = TarSource.open(path)
        source = with_labels(tar, [0] * len(tar))
        results = [compare(source, smallest, arguments) for smallest in ((256, 256), (256, 512))]
    report = {
        "machine": machine("vggrepro", "numpy", "opencv-python", "opencv-python-headless"),
        "threads": arguments.threads,
        "picture": f"500 x 375, {tar.sizes.mean() / 1000:.0f} kB",
        "results": results,
        "at_least": arguments.at_least,
        "passed": all(result["ratio"] >= arguments.at_least for result in results),
    }
    text = json.dumps(report, indent=1)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
