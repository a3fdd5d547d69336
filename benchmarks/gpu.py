#!/usr/bin/env python3
"""All measurements that need a GPU, in one command of less than eight minutes.

    python benchmarks/gpu.py

Runs the tests marked ``cuda``; training steps of VGG-A and VGG-D (batch 64, fp32 and tf32) beside what a
roofline model of their graphs says, and beside PyTorch's step if the extra ``bench`` is installed; dense and
crop evaluation of VGG-D; the exchange of VGG-D's gradients among as many GPUs as there are. Each part is a
process of its own. Writes benchmarks/results/gpu-NAME.json and prints a table. Exit code 1 if a part fails.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine
from step_model import H100, cost_of

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).resolve().parent / "results"
SECONDS = 460
"""For all parts together."""
TESTS_SECONDS = 180
TIMED_SECONDS = 8
SIDE = 224
BLOCKS = {
    "A": ((64,), (128,), (256, 256), (512, 512), (512, 512)),
    "D": ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3),
}
"""Channels of the convolutions, for PyTorch."""
IMAGES, SHAPES = 512, [(375, 500), (375, 500), (375, 500), (500, 333)]
PARAMETERS = 138_357_544
"""Of VGG-D."""


def timed(step: Callable[[], object]) -> float:
    """Seconds a step, after three that warm up."""
    for _ in range(3):
        step()
    begin, count = time.perf_counter(), 0
    while (seconds := time.perf_counter() - begin) < TIMED_SECONDS or count < 3:
        step()
        count += 1
    return seconds / count


def step_part(net: str, precision: str, batch: int) -> dict[str, Any]:
    from vggrepro.graph.training_step import build_training_step
    from vggrepro.training.definition import read_definition
    from vggrepro.training.solver import Solver

    definition = read_definition(ROOT / f"prototxt/{net}/solver.prototxt", ["random_seed: 1"])
    shapes = {"data": (batch, 3, SIDE, SIDE), "label": (batch,)}
    solver = Solver(definition, device="cuda", precision=precision, input_shapes=shapes)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    feeds = {
        "data": rng.standard_normal(shapes["data"], np.float32),
        "label": rng.integers(0, 1000, batch).astype(np.float32),
    }
    seconds = timed(lambda: solver.step([feeds]))
    memory = solver.device.memory()
    model = cost_of(build_training_step(solver.net, "cuda"), H100[precision])
    return {
        "images_per_s": batch / seconds,
        "seconds": seconds,
        "memory_gib": None if memory is None else (memory.total - memory.free) / 2**30,
        "model_h100": asdict(model),
    }


def torch_part(net: str, precision: str, batch: int) -> dict[str, Any]:
    import torch
    from torch import nn

    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    layers: list[nn.Module] = []
    channels = 3
    for block in BLOCKS[net]:
        for count in block:
            layers += [nn.Conv2d(channels, count, 3, padding=1), nn.ReLU(inplace=True)]
            channels = count
        layers.append(nn.MaxPool2d(2, 2))
    layers.append(nn.Flatten())
    for inputs, outputs in ((512 * (SIDE // 32) ** 2, 4096), (4096, 4096)):
        layers += [nn.Linear(inputs, outputs), nn.ReLU(inplace=True), nn.Dropout()]
    model = nn.Sequential(*layers, nn.Linear(4096, 1000)).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, weight_decay=5e-4)
    criterion = nn.CrossEntropyLoss()
    data, label = torch.randn(batch, 3, SIDE, SIDE), torch.randint(0, 1000, (batch,))

    def step() -> float:
        optimizer.zero_grad()
        loss = criterion(model(data.cuda()), label.cuda())
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    seconds = timed(step)
    return {
        "images_per_s": batch / seconds,
        "seconds": seconds,
        "memory_gib": torch.cuda.max_memory_reserved() / 2**30,
    }


def evaluation_part(kind: str, precision: str, _batch: int) -> dict[str, Any]:
    """Images a second from the tar to posteriors, without the first window."""
    from pictures import picture, write_tar

    from vggrepro.data.augment import ILSVRC_MEAN_BGR
    from vggrepro.data.sources import open_images
    from vggrepro.evaluation.measuring.evaluated_net import EvaluatedNet, posterior_score, score_blob
    from vggrepro.evaluation.measuring.pipeline import Answer, Execution, ImageSet, Pipeline
    from vggrepro.evaluation.measuring.size_order import ordered_by_size
    from vggrepro.evaluation.protocols import Stream
    from vggrepro.net import load_net
    from vggrepro.system.threads import default_threads

    net = load_net(ROOT / "prototxt/D/deploy.prototxt")
    network = EvaluatedNet("D", net, "data", SIDE, score_blob(net), 1000, ILSVRC_MEAN_BGR, "", "")
    stream = Stream("D", "dense" if kind == "dense" else "five", 256, flip=False)
    execution = Execution("cuda", batch=64, workers=default_threads(), precision=precision)  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as folder:
        made = [picture(np.random.default_rng(i), *shape) for i, shape in enumerate(SHAPES)]
        tar = write_tar(Path(folder) / "images.tar", [made[i % len(made)] for i in range(IMAGES)])
        images = ordered_by_size(ImageSet.whole(open_images(tar)), [stream], execution.workers)
        score = posterior_score(network, [stream], "cuda", 0, execution.precision)
        pipeline = Pipeline(images, (stream,), SIDE, ILSVRC_MEAN_BGR, execution)
        found = [time.perf_counter() for a in pipeline.all_answers(score) if isinstance(a, Answer)]
    timed_images = len(found) - execution.window
    return {
        "images_per_s": timed_images / (found[-1] - found[execution.window - 1]),
        "views": stream.view_count,
    }


def exchange_part(kind: str, _precision: str, _batch: int) -> dict[str, Any]:
    """Seconds for the sum of VGG-D's gradients, as one of the ranks."""
    from vggrepro.runtime.device import Device, require
    from vggrepro.runtime.device_array import DeviceArray
    from vggrepro.system.ranks import find_ranks
    from vggrepro.training.gradient_exchange import MpiExchange
    from vggrepro.training.nccl_exchange import NcclExchange

    ranks = find_ranks()
    device = Device("cuda", ranks.local_rank)
    require(device)
    gradients = DeviceArray(PARAMETERS, device)
    exchange = NcclExchange(ranks, device) if kind == "nccl" else MpiExchange(ranks)
    seconds = timed_together(lambda: exchange.begin(gradients)(gradients.size), ranks)
    return {
        "ranks": ranks.size,
        "seconds": seconds,
        "gb_per_s": 4e-9 * PARAMETERS / seconds,
        "rank": ranks.rank,
    }


def timed_together(step: Callable[[], object], ranks: Any, count: int = 8) -> float:
    """Seconds a step that all ranks take together."""
    step()
    ranks.barrier()
    begin = time.perf_counter()
    for _ in range(count):
        step()
    ranks.barrier()
    return (time.perf_counter() - begin) / count


PARTS = {"step": step_part, "torch": torch_part, "evaluation": evaluation_part, "exchange": exchange_part}


def planned(gpus: int, batch: int) -> list[tuple[str, list[str]]]:
    """Each part's name and command, the most wanted ones first."""
    me = [sys.executable, str(Path(__file__).resolve()), "--batch", str(batch), "--part"]
    parts = [("tests", [sys.executable, "-m", "pytest", "-q", "-m", "cuda", "tests/runtime/test_cuda.py"])]
    for precision in ("fp32", "tf32"):
        for side in ("step", "torch"):
            parts += [(f"{side} {net} {precision}", [*me, side, net, precision]) for net in ("D", "A")]
    for kind in ("dense", "crops"):
        parts.append((f"evaluation {kind} fp32", [*me, "evaluation", kind, "fp32"]))
    for kind in ("nccl", "mpi")[: 1 + (gpus > 1)]:
        launched = ["mpirun", "-n", str(gpus)] if gpus > 1 else []
        parts.append((f"exchange {kind}", [*launched, *me, "exchange", kind, "fp32"]))
    return parts


def run_part(name: str, command: Sequence[str], seconds: float) -> dict[str, Any]:
    """What a part's process says; ``failed`` where it does not say what it should."""
    if seconds <= 0:
        return {"failed": "no time was left"}
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return {"failed": f"took longer than {seconds:.0f} s"}
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    if name == "tests":
        summary = lines[-1] if lines else ""
        passed = done.returncode == 0 and bool(re.search(r"\d+ passed", summary))
        return {"summary": summary} if passed else {"summary": summary, "failed": summary or "no tests ran"}
    found = [line for line in lines if line.startswith("{")]
    if done.returncode or not found:
        return {"failed": (done.stderr.strip().splitlines() or ["no answer"])[-1]}
    answer: dict[str, Any] = json.loads(found[0])
    return answer


def gpus() -> list[str]:
    """The names of the GPUs, as nvidia-smi has them."""
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip().splitlines()
    except (OSError, subprocess.CalledProcessError):
        return []


def table(parts: dict[str, dict[str, Any]]) -> str:
    """One row a part."""
    rows = ["| part | images/s | ms | GiB | model of an H100, ms | GB | GFLOP |", "|" + "---|" * 7]
    for name, found in parts.items():
        if "failed" in found:
            rows.append(f"| {name} | failed: {found['failed']} | | | | | |")
            continue
        model = found.get("model_h100", {})
        cells = [
            found.get("summary") or _number(found.get("images_per_s")),
            _number(found.get("seconds"), 1e3),
            _number(found.get("memory_gib")),
            _number(model.get("seconds"), 1e3),
            _number(model.get("bytes"), 1e-9),
            _number(model.get("flops"), 1e-9),
        ]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _number(value: float | None, factor: float = 1) -> str:
    return "" if value is None else f"{value * factor:,.1f}"


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    if arguments.part:
        kind, which, precision = arguments.part
        print(json.dumps(PARTS[kind](which, precision, arguments.batch)), flush=True)
        return 0
    names = gpus()
    end = time.monotonic() + SECONDS
    parts: dict[str, dict[str, Any]] = {}
    for name, command in planned(len(names), arguments.batch):
        most = end - time.monotonic()
        parts[name] = run_part(name, command, min(most, TESTS_SECONDS) if name == "tests" else most)
        print(f"{name}: {parts[name]}", file=sys.stderr, flush=True)
    called = re.sub(r"[^A-Za-z0-9]+", "-", names[0]).strip("-") if names else "unknown"
    result = {
        "gpus": names,
        "machine": machine("onnxruntime-gpu", "torch", "nccl4py", "numpy"),
        "parts": parts,
    }
    path = arguments.json or RESULTS / f"gpu-{called}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(table(parts))
    print(f"written to {path}", file=sys.stderr)
    needed = [name for name in parts if not name.startswith(("torch", "exchange"))]
    return 1 if any("failed" in parts[name] for name in needed) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--batch", type=int, default=64, help="images a training step (default: 64)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="default: benchmarks/results/gpu-NAME.json")
    parser.add_argument("--part", nargs=3, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
