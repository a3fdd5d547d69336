#!/usr/bin/env python3
"""Training steps of VGG-A and VGG-D beside PyTorch's, eager and compiled: speed, and peak memory.

    python benchmarks/train_step.py --torch PYTHON --threads 2 --json benchmarks/results/train_step.json

Each side is a process of its own, and they take turns step by step, so that whatever else the machine does
meets all. All train a configuration of prototxt/ (A with batches of 8 images, D with 4, of 224 x 224 pixels)
with momentum, weight decay and dropout, from the same weights. Before that, two steps without dropout must
give the same losses. --torch names an interpreter that has PyTorch (default: this one; extra ``bench``).
Exit code 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from machine import machine, version_of
from turns import Worker, median_of, serve, take_turns, times_as_fast

if TYPE_CHECKING:
    from vggrepro.net import Net

ROOT = Path(__file__).resolve().parents[1]
CASES = {"A": 8, "D": 4}
"""Images a batch, by configuration."""
GOALS = {"torch": 1.9, "torch_compile": 1.5}
"""How many times as fast as each other side this package shall be."""
MEMORY_GOAL = 0.95
"""Its peak of memory relative to eager PyTorch's."""
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


def with_drawn_weights(net: Net) -> Net:
    """The net with its weights drawn by :func:`weights`."""
    uses = [use for layer in net.layers for use in layer.params]
    drawn = weights([use.definition.shape for use in uses])
    return net.with_params({use.key: array for use, array in zip(uses, drawn, strict=True)})


def toolkit_step(arguments: argparse.Namespace) -> Step:
    """One step of ``vggrepro.Solver``."""
    from vggrepro.caffe.text import read_net
    from vggrepro.training.definition import Definition, read_definition
    from vggrepro.training.solver import Solver

    given = read_definition(
        ROOT / f"prototxt/{arguments.net}/solver.prototxt",
        [f"{name}: {value}" for name, value in {**SOLVER, "random_seed": 1}.items()] + ['lr_policy: "fixed"'],
    )
    net = read_net(ROOT / f"prototxt/{arguments.net}/train_val.prototxt")
    for layer in net.layer:
        if layer.HasField("inner_product_param") or layer.HasField("convolution_param"):
            layer.ClearField("param")  # PyTorch's SGD treats biases as weights
        if layer.type == "Dropout" and not arguments.dropout:
            layer.dropout_param.dropout_ratio = 0
    given.param.ClearField("net")
    given.param.net_param.CopyFrom(net)
    side, images = arguments.side, CASES[arguments.net]
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


def torch_step(arguments: argparse.Namespace, *, compiled: bool = False) -> Step:
    """The same step in PyTorch, with ``torch.optim.SGD``."""
    import torch
    from torch import nn
    from torch_vgg import set_parameters, vgg

    torch.set_num_threads(arguments.threads)
    net = vgg(arguments.net, side=arguments.side, dropout=0.5 if arguments.dropout else 0.0)
    parameters = list(net.parameters())
    set_parameters(net, list(weights([tuple(p.shape) for p in parameters])))
    forward = torch.compile(net) if compiled else net
    optimizer = torch.optim.SGD(
        parameters,
        lr=SOLVER["base_lr"],
        momentum=SOLVER["momentum"],
        weight_decay=SOLVER["weight_decay"],
    )
    criterion = nn.CrossEntropyLoss()
    feed = batches(CASES[arguments.net], arguments.side)

    def step() -> float:
        data, label = next(feed)
        optimizer.zero_grad()
        loss = criterion(forward(torch.from_numpy(data)), torch.from_numpy(label))
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def torch_compile_step(arguments: argparse.Namespace) -> Step:
    """The same with ``torch.compile``."""
    return torch_step(arguments, compiled=True)


STEPS = {"vggrepro": toolkit_step, "torch": torch_step, "torch_compile": torch_compile_step}


def workers(arguments: argparse.Namespace, net: str, *, dropout: bool) -> dict[str, Worker]:
    """A process for each side."""
    found = {}
    for name in STEPS:
        command = [sys.executable if name == "vggrepro" else arguments.torch, __file__, "--work", name]
        for option in ("side", "threads"):
            command += [f"--{option}", str(getattr(arguments, option))]
        command += ["--net", net, "--dropout" if dropout else "--no-dropout"]
        found[name] = Worker(command)
    return found


def compare_losses(arguments: argparse.Namespace, net: str) -> list[dict[str, float]]:
    """Losses of two steps without dropout, and the largest relative difference from eager PyTorch's."""
    turns = take_turns(workers(arguments, net, dropout=False), rounds=2, warmup=0)
    rows = []
    for step in range(2):
        losses = {name: entries[step]["value"] for name, entries in turns.items()}
        difference = max(abs(loss - losses["torch"]) for loss in losses.values()) / abs(losses["torch"])
        rows.append({**losses, "difference": difference})
    return rows


def compare(arguments: argparse.Namespace, net: str) -> dict[str, Any]:
    """Losses; seconds and images a second of all sides in turns; their peaks. The first steps warm up."""
    losses = compare_losses(arguments, net)
    turns = take_turns(workers(arguments, net, dropout=True), arguments.steps, arguments.warmup)
    ours = turns.pop("vggrepro")
    peaks = {name: max(turn["peak"] for turn in entries) for name, entries in turns.items()}
    result = {
        "images": CASES[net],
        "losses": losses,
        "images_per_s": {
            name: round(CASES[net] / median_of(entries, "seconds"), 2)
            for name, entries in {"vggrepro": ours, **turns}.items()
        },
        "speed_ratios": {name: round(times_as_fast(ours, entries), 3) for name, entries in turns.items()},
        "peak_mb": {"vggrepro": ours[-1]["peak"] / 1e6} | {name: peak / 1e6 for name, peak in peaks.items()},
        "memory_ratio": round(ours[-1]["peak"] / peaks["torch"], 3),
    }
    fast = all(result["speed_ratios"][name] >= goal for name, goal in GOALS.items())
    same = all(row["difference"] <= LOSS_TOLERANCE for row in losses)
    return {**result, "passed": fast and same and result["memory_ratio"] <= MEMORY_GOAL}


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    if arguments.work:
        return serve(STEPS[arguments.work](arguments))
    result = {
        "machine": machine("onnxruntime-gpu", "numpy"),
        "torch": version_of(arguments.torch, "torch"),
        "side": arguments.side,
        "threads": arguments.threads,
        "goals": {**GOALS, "memory": MEMORY_GOAL},
        "cases": {net: compare(arguments, net) for net in arguments.only or CASES},
    }
    print(json.dumps(result, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0 if all(case["passed"] for case in result["cases"].values()) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--torch", default=sys.executable, metavar="PYTHON", help="one that has PyTorch")
    parser.add_argument("--only", action="append", choices=list(CASES), help="repeatable (default: both)")
    parser.add_argument("--side", type=int, default=224, help="of the images, in pixels (default: 224)")
    parser.add_argument("--threads", type=int, default=2, help="threads of each (default: 2)")
    parser.add_argument("--steps", type=int, default=9, help="timed steps of each (default: 9)")
    parser.add_argument("--warmup", type=int, default=2, help="steps before them (default: 2)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result here too")
    parser.add_argument("--work", choices=list(STEPS), help=argparse.SUPPRESS)
    parser.add_argument("--net", choices=list(CASES), help=argparse.SUPPRESS)
    parser.add_argument(
        "--dropout", action=argparse.BooleanOptionalAction, default=True, help=argparse.SUPPRESS
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
