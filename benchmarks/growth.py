#!/usr/bin/env python3
"""What one more image or iteration costs in processor time and memory, in runs of several lengths.

    python benchmarks/growth.py --json benchmarks/results/growth.json

Every measurement is a process of its own. An evaluation looks at the embedded digits, again and again as so
many images, by their centre crops, with a view cache. A training runs the embedded miniature for so many
iterations of four images, with its log, and writes a snapshot in the end. The kept index of a tar of so many
names is opened. Told of each step from one length to the next is what one more image or name costs.
Exit code 1 if in the last step that is more than in the first by --grow-at-most in time, or more than 1 kB of
memory, or if the largest index takes more than 10 s or 200 MB.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from machine import machine

BLOCK = 512
INDEX_LIMITS = {"cpu_seconds": 10.0, "peak_mb": 200.0}
BYTES_LIMIT = 1000.0
"""Bytes of memory that one more image or iteration may take."""

Usage = dict[str, float]


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    if arguments.run is not None:
        name, count, folder = arguments.run
        RUNS[name](int(count), Path(folder))
        return 0
    found = {
        "evaluation": measured("evaluation", arguments.images),
        "training": measured("training", arguments.iterations),
        "tar_index": measured("tar_index", [325_000, 1_300_000]),
    }
    result = {"machine": machine("numpy", "onnxruntime-gpu"), **found}
    print(json.dumps(result, indent=1))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    steady = all(
        is_steady(found[name]["steps"], arguments.grow_at_most) for name in ("evaluation", "training")
    )
    largest = found["tar_index"]["lengths"][-1]
    return 0 if steady and all(largest[what] <= limit for what, limit in INDEX_LIMITS.items()) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, lengths in (("--images", [1000, 4000, 16000]), ("--iterations", [200, 600, 1800])):
        parser.add_argument(
            name,
            type=lambda text: [int(part) for part in text.split(",")],
            default=lengths,
            metavar="N,...",
            help=f"lengths of the runs (default: {','.join(map(str, lengths))})",
        )
    parser.add_argument(
        "--grow-at-most",
        type=float,
        default=0.25,
        metavar="R",
        help="growth of the time of one image or iteration that is allowed (default: 0.25)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result")
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    return parser


def measured(name: str, lengths: Sequence[int]) -> dict[str, Any]:
    """What runs of each length use, and what one more image, iteration or name costs between them."""
    used = [used_by(name, length) for length in lengths]
    steps = [
        {
            "from": before["length"],
            "to": after["length"],
            "cpu_ms": one_more(before, after, "cpu_seconds") * 1e3,
            "bytes": round(one_more(before, after, "peak_mb") * 1e6),
        }
        for before, after in pairwise(used)
    ]
    return {"lengths": used, "steps": steps}


def one_more(before: Usage, after: Usage, what: str) -> float:
    return (after[what] - before[what]) / (after["length"] - before["length"])


def used_by(name: str, length: int) -> Usage:
    """Processor time and peak memory of a run in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        run = [sys.executable, __file__, "--run"]
        # In a process of its own: a child's peak memory counts what its parent has when it is forked.
        if name == "tar_index":
            subprocess.run([*run, "write_index", str(length), folder], check=True)
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen([*run, name, str(length), folder], **quiet)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{name} of {length}: ended with {status}")
    scale = 1 if sys.platform == "darwin" else 1024
    return {
        "length": length,
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_mb": round(usage.ru_maxrss * scale / 1e6, 1),
    }


def is_steady(steps: Sequence[Usage], grow_at_most: float) -> bool:
    first, last = steps[0], steps[-1]
    return last["cpu_ms"] <= first["cpu_ms"] * (1 + grow_at_most) and last["bytes"] <= BYTES_LIMIT


def write_index(names: int, folder: Path) -> None:
    """The index of a tar of so many empty images, and a tar in which their headers would be found."""
    import tarfile

    import numpy as np

    from vggrepro.data.sources.tar_index import save_index

    tar = folder / "images.tar"
    tar.write_bytes(tarfile.TarInfo("image.JPEG").tobuf() + bytes(2 * BLOCK))
    synset = [f"n{10_000_000 + index // 1300}" for index in range(names)]
    keys = [f"{folder}/{folder}_{index % 1300:05d}.JPEG" for index, folder in enumerate(synset)]
    stamp = np.array([tar.stat().st_size, tar.stat().st_mtime_ns])
    save_index(folder / "index", stamp, (keys, np.full(names, BLOCK), np.zeros(names, np.int64)))


def open_index(names: int, folder: Path) -> None:
    from vggrepro.data.sources import TarSource

    assert len(TarSource.open(folder / "images.tar", folder / "index")) == names


def evaluate_digits(images: int, folder: Path) -> None:
    """Evaluate the embedded digits by their centre crops, again and again, as so many images."""
    import numpy as np

    from vggrepro.data.sources import select
    from vggrepro.data.truth.ground_truth import Truth
    from vggrepro.evaluation import demo
    from vggrepro.evaluation.evaluate import evaluate
    from vggrepro.evaluation.goals import EvaluationPlan, Goal
    from vggrepro.evaluation.measuring.pipeline import Execution, ImageSet
    from vggrepro.evaluation.protocols import Member
    from vggrepro.system.ranks import Alone

    truth = demo.truth()
    indexes = np.arange(images) % len(truth.source)
    many = Truth(select(truth.source, indexes), truth.labels[indexes], truth.where, truth.synsets)
    goals = [Goal("centre", [Member(demo.NET, "centre", (demo.SCALE,), False)])]
    plan = EvaluationPlan(goals, [demo.FILES], demo.mean_bgr())
    running = Execution(threads=1, workers=1)
    report = evaluate(plan, many, ImageSet.whole(many.source), running, Alone(), folder / "cache")
    assert report is not None
    assert report.results.images == images


def train_digits(iterations: int, folder: Path) -> None:
    """Train the embedded miniature for so many iterations of four images."""
    from vggrepro.cli.train_ilsvrc import main as train
    from vggrepro.evaluation import demo

    solver = folder / "solver.prototxt"
    fields = [f'net: "{demo.FOLDER / f"{demo.NET}_train_val.prototxt"}"', f"max_iter: {iterations}"]
    fields += ['type: "SGD"', 'lr_policy: "fixed"', "base_lr: 0.0001", "momentum: 0.9", "display: 20"]
    solver.write_text("\n".join(fields))
    data = ["--data", str(demo.FOLDER / "img_train.tar"), "--data-list", str(demo.FOLDER / "train.txt")]
    running = [
        "--device",
        "cpu",
        "--threads",
        "1",
        "--workers",
        "1",
        "--snapshot-prefix",
        str(folder / "run"),
    ]
    sizes = ["--batch", "4", "--smallest", "64,84"]
    assert train(["--config", str(solver), "--no-test", *data, *sizes, *running]) == 0


RUNS: dict[str, Callable[[int, Path], None]] = {
    "evaluation": evaluate_digits,
    "training": train_digits,
    "write_index": write_index,
    "tar_index": open_index,
}

if __name__ == "__main__":
    sys.exit(main())
