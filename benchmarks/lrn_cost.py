#!/usr/bin/env python3
"""What Local Response Normalisation costs (section 4.1): net A-LRN against net A, in time and memory.

    python benchmarks/lrn_cost.py --threads 2 --json benchmarks/results/lrn_cost.json

Each net is a process of its own, so that its peak memory (ru_maxrss) is its own; the two take turns pass by
pass, so that whatever else the machine does meets both, and the ratio of CPU seconds is there too. First the
forward pass of the deploy nets, then the training step with momentum, weight decay and dropout, both on the
same pictures of 224 x 224 pixels.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine
from train_step import SOLVER, batches, weights, with_drawn_weights

from vggrepro.graph.forward import build_forward
from vggrepro.net import load_net
from vggrepro.paper.nets import deploy_prototxt, solver_prototxt
from vggrepro.runtime.session import Session
from vggrepro.training.definition import read_definition
from vggrepro.training.solver import Solver

NETS = ("A", "A-LRN")
SIDE = 224


def forward(config: str, images: int, threads: int) -> Callable[[], None]:
    """One forward pass of the deploy net."""
    shape = (images, 3, SIDE, SIDE)
    net = with_drawn_weights(load_net(deploy_prototxt(config), fill=False, input_shapes={"data": shape}))
    session = Session(build_forward(net, outputs=["prob"]), "cpu", threads=threads)
    data = next(batches(images, SIDE))[0]
    return lambda: (session.run({"data": data}, ["prob"]), None)[1]


def training(config: str, images: int, threads: int) -> Callable[[], None]:
    """One training step."""
    settings = [f"{name}: {value}" for name, value in {**SOLVER, "random_seed": 1}.items()]
    definition = read_definition(solver_prototxt(config), [*settings, 'lr_policy: "fixed"'])
    shapes = {"data": (images, 3, SIDE, SIDE), "label": (images,)}
    solver = Solver(definition, threads=threads, input_shapes=shapes)
    keys = list(solver.arrays.layout.shapes)
    drawn = weights([solver.arrays.layout.shapes[key] for key in keys])
    for key, array in zip(keys, drawn, strict=True):
        solver.arrays.write(solver.arrays.values, {key: array})
    feed = batches(images, SIDE)

    def step() -> None:
        data, label = next(feed)
        loss = solver.step([{"data": data, "label": label.astype(np.float32)}])
        assert np.isfinite(loss)

    return step


KINDS = {"forward": forward, "training": training}


def work(arguments: argparse.Namespace) -> int:
    """One side: a pass for each line on stdin, a line of JSON for each on stdout."""
    step = KINDS[arguments.kind](arguments.net, arguments.images, arguments.threads)
    for _ in sys.stdin:
        begin, spent = time.perf_counter(), time.process_time()
        step()
        seconds, spent = time.perf_counter() - begin, time.process_time() - spent
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # bytes, on Linux
        print(json.dumps({"seconds": seconds, "cpu_seconds": spent, "peak": peak}), flush=True)
    return 0


def compare(kind: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds of both nets in turns, and their peaks. The first passes warm up and are not counted."""
    command = [sys.executable, __file__, "--kind", kind, "--images", str(arguments.images)]
    command += ["--threads", str(arguments.threads)]
    sides = {
        net: subprocess.Popen(
            [*command, "--net", net], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for net in NETS
    }
    kept = ("seconds", "cpu_seconds")
    times: dict[str, dict[str, list[float]]] = {name: {net: [] for net in NETS} for name in kept}
    peaks = dict.fromkeys(NETS, 0.0)
    for turn in range(arguments.warmup + arguments.passes):
        for net, side in sides.items():
            assert side.stdin is not None
            assert side.stdout is not None
            side.stdin.write("\n")
            side.stdin.flush()
            found = json.loads(side.stdout.readline())
            peaks[net] = found["peak"]
            if turn >= arguments.warmup:
                for name in kept:
                    times[name][net].append(found[name])
    for side in sides.values():
        side.communicate()
    return {
        **times,
        "images_per_s": {n: arguments.images / statistics.median(s) for n, s in times["seconds"].items()},
        "time_ratio": _ratio(times["seconds"]),
        "cpu_ratio": _ratio(times["cpu_seconds"]),
        "peak_bytes": peaks,
        "memory_ratio": peaks["A-LRN"] / peaks["A"],
    }


def _ratio(times: Mapping[str, Sequence[float]]) -> float:
    """The median over turns of what A-LRN takes by what A takes."""
    return statistics.median(lrn / plain for plain, lrn in zip(times["A"], times["A-LRN"], strict=True))


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    if arguments.net:
        return work(arguments)
    result = {
        "machine": machine("onnxruntime-gpu", "numpy"),
        "images": arguments.images,
        "side": SIDE,
        "threads": arguments.threads,
        **{kind: compare(kind, arguments) for kind in KINDS},
    }
    text = json.dumps(result, indent=1)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--images", type=int, default=8, help="images a batch (default: 8)")
    parser.add_argument("--threads", type=int, default=2, help="threads of both (default: 2)")
    parser.add_argument("--passes", type=int, default=9, help="timed passes of each (default: 9)")
    parser.add_argument("--warmup", type=int, default=2, help="passes before them (default: 2)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result here too")
    parser.add_argument("--net", choices=NETS, help=argparse.SUPPRESS)
    parser.add_argument("--kind", choices=list(KINDS), help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
