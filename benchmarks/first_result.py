#!/usr/bin/env python3
"""From nothing to VGG-16's first result: this package on Caffe's files, ONNX Runtime on the converted one.

    python benchmarks/first_result.py --json benchmarks/results/first_result.json

Random weights, one image, one CPU thread. Every measurement is a process of its own, both in turn: imports,
loading, one run. Processor time counts, and the median of the rounds' ratios; memory is the peak of the
resident set. Exit code 1 if this package takes more than --at-most times as long.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from convert import DEPLOY, make_weights
from machine import machine

OURS = """
import sys, numpy, vggrepro
from vggrepro.graph.forward import build_forward
graph = build_forward(vggrepro.load_net(*sys.argv[1:3]))
image = numpy.random.default_rng(0).standard_normal((1, 3, 224, 224), numpy.float32)
vggrepro.Session(graph, threads=1).run({"data": image})
"""

THEIRS = """
import sys, numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
image = numpy.random.default_rng(0).standard_normal((1, 3, 224, 224), numpy.float32)
session = onnxruntime.InferenceSession(sys.argv[3], options, providers=["CPUExecutionProvider"])
session.run(None, {"data": image})
"""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="turns of each (default: 7)")
    parser.add_argument(
        "--at-most", type=float, default=1.1, metavar="R", help="ratio allowed (default: 1.1)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result")
    arguments = parser.parse_args(argv)
    used: dict[str, list[tuple[float, float]]] = {"vggrepro": [], "onnxruntime": []}
    with tempfile.TemporaryDirectory() as folder:
        weights, model = Path(folder) / "D.caffemodel", Path(folder) / "D.onnx"
        make_weights(weights)
        files = [str(DEPLOY), str(weights), "-o", str(model)]
        convert = [sys.executable, "-m", "vggrepro", "convert-caffemodel", *files]
        subprocess.run(convert, check=True, stderr=subprocess.DEVNULL)
        for _ in range(arguments.rounds):
            for name, code in (("vggrepro", OURS), ("onnxruntime", THEIRS)):
                used[name].append(usage([sys.executable, "-c", code, str(DEPLOY), str(weights), str(model)]))
    ratio = statistics.median(a / b for (a, _), (b, _) in zip(*used.values(), strict=True))
    result = {
        "machine": machine("numpy", "onnxruntime-gpu"),
        "cpu_seconds": {name: round(statistics.median(s for s, _ in runs), 2) for name, runs in used.items()},
        "ratio": round(ratio, 2),
        "peak_mb": {name: round(max(mb for _, mb in runs)) for name, runs in used.items()},
    }
    print(json.dumps(result, indent=1))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0 if ratio <= arguments.at_most else 1


def usage(command: Sequence[str]) -> tuple[float, float]:
    """Processor seconds and peak MB of a process."""
    process = subprocess.Popen(command)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command[2]}: ended with {status}")
    scale = 1 if sys.platform == "darwin" else 1024
    return used.ru_utime + used.ru_stime, used.ru_maxrss * scale / 1e6


if __name__ == "__main__":
    sys.exit(main())
