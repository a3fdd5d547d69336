#!/usr/bin/env python3
"""A training step of VGG-A against PyTorch's eager step: images per second, and peak memory.

    python benchmarks/train_step.py --threads 2 --json train_step.json

Needs the extra ``bench``. Each side is a process of its own, so that its peak memory (ru_maxrss) is its own;
they take turns step by step, so that whatever else the machine does meets both. Both train configuration A
of prototxt/ with batches of 8 images of 224 x 224 pixels, momentum, weight decay and dropout, from the same
weights. Before that, two steps without dropout must give the same losses. Exit code 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
CHANNELS = ((64,), (128,), (256, 256), (512, 512), (512, 512))
"""Configuration A: convolutions by block."""
SOLVER = {"base_lr": 0.0001, "momentum": 0.9, "weight_decay": 0.0005}
LOSS_TOLERANCE = 1e-4

Step = Callable[[], float]


def batches(images: int, side: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The same pictures and labels on both sides."""
    rng = np.random.default_rng(0)
    while True:
        yield (
            rng.standard_normal((images, 3, side, side), np.float32),
            rng.integers(0, 1000, images),
        )


def weights(shapes: Sequence[tuple[int, ...]]) -> Iterator[np.ndarray]:
    """He's initialisation with zero biases: losses stay finite, and both sides draw the same."""
    rng = np.random.default_rng(1)
    for shape in shapes:
        drawn = rng.standard_normal(shape, np.float32) if len(shape) > 1 else np.zeros(shape, np.float32)
        yield drawn * np.float32((2 / np.prod(shape[1:])) ** 0.5 if len(shape) > 1 else 1)


def toolkit_step(arguments: argparse.Namespace) -> Step:
    """One step of ``vggrepro.Solver``."""
    from vggrepro.caffe.text import read_net
    from vggrepro.training.definition import Definition, read_definition
    from vggrepro.training.solver import Solver

    given = read_definition(
        ROOT / "prototxt/A/solver.prototxt",
        [f"{name}: {value}" for name, value in {**SOLVER, "random_seed": 1}.items()] + ['lr_policy: "fixed"'],
    )
    net = read_net(ROOT / "prototxt/A/train_val.prototxt")
    for layer in net.layer:
        if layer.HasField("inner_product_param") or layer.HasField("convolution_param"):
            layer.ClearField("param")  # PyTorch's SGD treats biases as weights
        if layer.type == "Dropout" and not arguments.dropout:
            layer.dropout_param.dropout_ratio = 0
    given.param.ClearField("net")
    given.param.net_param.CopyFrom(net)
    side, images = arguments.side, arguments.images
    shapes = {"data": (images, 3, side, side), "label": (images,)}
    definition = Definition(given.param, given.path)
    solver = Solver(definition, threads=arguments.threads, input_shapes=shapes)
    keys = list(solver.arrays.layout.shapes)
    drawn = weights([solver.arrays.layout.shapes[key] for key in keys])
    for key, array in zip(keys, drawn, strict=True):
        solver.arrays.write(solver.arrays.values, {key: array})
    feed = batches(images, side)

    def step() -> float:
        data, label = next(feed)
        return solver.step([{"data": data, "label": label.astype(np.float32)}])

    return step


def torch_step(arguments: argparse.Namespace) -> Step:
    """The same step in eager PyTorch, with ``torch.optim.SGD``."""
    import torch
    from torch import nn

    torch.set_num_threads(arguments.threads)
    layers: list[nn.Module] = []
    channels = 3
    for block in CHANNELS:
        for count in block:
            layers += [nn.Conv2d(channels, count, 3, padding=1), nn.ReLU(inplace=True)]
            channels = count
        layers.append(nn.MaxPool2d(2, 2))
    layers.append(nn.Flatten())
    sizes = (512 * (arguments.side // 32) ** 2, 4096, 4096)
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU(inplace=True)]
        layers.append(nn.Dropout(0.5 if arguments.dropout else 0.0))
    layers.append(nn.Linear(4096, 1000))
    net = nn.Sequential(*layers)
    parameters = list(net.parameters())
    with torch.no_grad():
        drawn = weights([tuple(p.shape) for p in parameters])
        for parameter, array in zip(parameters, drawn, strict=True):
            parameter.copy_(torch.from_numpy(array))
    optimizer = torch.optim.SGD(
        parameters,
        lr=SOLVER["base_lr"],
        momentum=SOLVER["momentum"],
        weight_decay=SOLVER["weight_decay"],
    )
    criterion = nn.CrossEntropyLoss()
    feed = batches(arguments.images, arguments.side)

    def step() -> float:
        data, label = next(feed)
        optimizer.zero_grad()
        loss = criterion(net(torch.from_numpy(data)), torch.from_numpy(label))
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


STEPS = {"vggrepro": toolkit_step, "torch": torch_step}


def work(arguments: argparse.Namespace) -> int:
    """One side: a step for each line on stdin, a line of JSON for each step on stdout."""
    step = STEPS[arguments.work](arguments)
    for _ in sys.stdin:
        begin = time.perf_counter()
        loss = step()
        seconds = time.perf_counter() - begin
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # bytes, on Linux
        print(json.dumps({"loss": loss, "seconds": seconds, "peak": peak}), flush=True)
    return 0


class Side:
    """A process that does one side's steps when asked."""

    def __init__(self, name: str, arguments: argparse.Namespace, *, dropout: bool) -> None:
        command = [sys.executable, __file__, "--work", name]
        for option in ("images", "side", "threads"):
            command += [f"--{option}", str(getattr(arguments, option))]
        command += ["--dropout"] if dropout else ["--no-dropout"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def step(self) -> dict[str, float]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.process.args}: ended with {self.process.wait()}")
        result: dict[str, float] = json.loads(line)
        return result

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def compare_losses(arguments: argparse.Namespace) -> list[dict[str, float]]:
    """Losses of two steps without dropout, and whether they agree."""
    rows = []
    sides = {name: Side(name, arguments, dropout=False) for name in STEPS}
    for _ in range(2):
        losses = {name: side.step()["loss"] for name, side in sides.items()}
        difference = abs(losses["vggrepro"] - losses["torch"]) / abs(losses["torch"])
        rows.append({**losses, "difference": difference})
    for side in sides.values():
        side.close()
    return rows


def compare_speed(arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds of both sides in turns, and their peaks. The first steps warm up and are not counted."""
    sides = {name: Side(name, arguments, dropout=True) for name in STEPS}
    seconds: dict[str, list[float]] = {name: [] for name in STEPS}
    peaks = dict.fromkeys(STEPS, 0.0)
    for turn in range(arguments.warmup + arguments.steps):
        for name, side in sides.items():
            result = side.step()
            peaks[name] = result["peak"]
            if turn >= arguments.warmup:
                seconds[name].append(result["seconds"])
    for side in sides.values():
        side.close()
    ratios = [t / v for t, v in zip(seconds["torch"], seconds["vggrepro"], strict=True)]
    return {
        "seconds": seconds,
        "images_per_s": {name: arguments.images / statistics.median(s) for name, s in seconds.items()},
        "speed_ratio": statistics.median(ratios),
        "peak_bytes": peaks,
        "memory_ratio": peaks["vggrepro"] / peaks["torch"],
    }


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    if arguments.work:
        return work(arguments)
    losses = compare_losses(arguments)
    result = {
        "machine": f"{platform.machine()}, {platform.system()}",
        "versions": {name: version(name) for name in ("torch", "onnxruntime-gpu", "numpy")},
        "images": arguments.images,
        "side": arguments.side,
        "threads": arguments.threads,
        "losses": losses,
        **compare_speed(arguments),
        "goals": {"speed_ratio": arguments.at_least, "memory_ratio": arguments.at_most},
    }
    result["passed"] = (
        result["speed_ratio"] >= arguments.at_least
        and result["memory_ratio"] <= arguments.at_most
        and all(row["difference"] <= LOSS_TOLERANCE for row in losses)
    )
    text = json.dumps(result, indent=1)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    return 0 if result["passed"] else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--images", type=int, default=8, help="images a batch (default: 8)")
    parser.add_argument("--side", type=int, default=224, help="their height and width (default: 224)")
    parser.add_argument("--threads", type=int, default=2, help="threads of both (default: 2)")
    parser.add_argument("--steps", type=int, default=9, help="timed steps of each (default: 9)")
    parser.add_argument("--warmup", type=int, default=2, help="steps before them (default: 2)")
    parser.add_argument("--at-least", type=float, default=1.4, help="ratio of images/s (default: 1.4)")
    parser.add_argument("--at-most", type=float, default=1.2, help="ratio of peaks (default: 1.2)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result here too")
    parser.add_argument("--work", choices=list(STEPS), help=argparse.SUPPRESS)
    parser.add_argument(
        "--dropout", action=argparse.BooleanOptionalAction, default=True, help=argparse.SUPPRESS
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
