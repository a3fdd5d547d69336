"""VGG-16's forward pass through the caffe module, against the bare session on the same net.

Run: python benchmarks/pycaffe_forward.py [--json FILE]. Both compute ``prob`` of one image, in turn, in one
process;
the parameters are random. ``held`` is the same with an array of parameters in a script's hands: they are then
inputs of the graph and not constants.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from machine import machine

import vggrepro
import vggrepro.pycaffe as caffe
from vggrepro.graph.forward import build_forward
from vggrepro.runtime.session import Session

DEPLOY = Path(__file__).parent.parent / "prototxt" / "D" / "deploy.prototxt"
GOAL = 1.1


def main() -> int:
    """Exit codes: 0 within the goal, 1 beyond it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15, help="of each measurement (default: 15)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    arguments = parser.parse_args()
    result = {"machine": machine("onnxruntime-gpu", "numpy"), "goal": GOAL, **measure(arguments.repeats)}
    print(json.dumps(result, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0 if result["ratio"] <= GOAL else 1


def measure(repeats: int) -> dict[str, float]:
    """Medians in seconds, and the ratios to the bare session."""
    x = np.random.default_rng(0).standard_normal((1, 3, 224, 224)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        definition = Path(folder) / "deploy.prototxt"
        definition.write_text(DEPLOY.read_text().replace("dim: 10", "dim: 1", 1))
        session = Session(build_forward(vggrepro.load_net(definition), outputs=["prob"]))
        net = caffe.Net(str(definition), caffe.TEST)
    ways: dict[str, Callable[[], object]] = {
        "bare": lambda: session.run({"data": x}),
        "pycaffe": lambda: net.forward(data=x),
    }
    found = medians(ways, repeats)
    held = net.params["fc8"][0].data
    found |= {"held": medians({"held": ways["pycaffe"]}, repeats)["held"], "parameters": float(held.size)}
    return {**found, "ratio": found["pycaffe"] / found["bare"], "held_ratio": found["held"] / found["bare"]}


def medians(ways: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Every way in turn, the first time not counted."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(found[1:]) for name, found in times.items()}


if __name__ == "__main__":
    raise SystemExit(main())
