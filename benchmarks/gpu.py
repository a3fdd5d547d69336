#!/usr/bin/env python3
"""All measurements that need a GPU, in one command of less than eight minutes.

    python benchmarks/gpu.py
    python benchmarks/gpu.py --dry-run    # every part in small, on the CPU, to see that all of them start

Runs the tests marked ``cuda``; training steps of VGG-A and VGG-D (batch 64, fp32 and tf32) beside what a
roofline model of their graphs says, and beside PyTorch's step if the extra ``bench`` is installed; dense and
crop evaluation of VGG-D; the exchange of VGG-D's gradients among as many GPUs as there are. Each part is a
process of its own; one that fails or takes too long leaves what it had found by then. Writes
benchmarks/results/gpu-NAME.json after each part, and prints a table. Exit code 1 if a part fails.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
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
TEST_PROCESSES = 8
PART_SECONDS = 75
"""For each other part: one that hangs leaves time for the rest."""
MOST_LINES = 60
"""Of what a part that failed has said."""
SHAPES = [(375, 500), (375, 500), (375, 500), (500, 333)]


@dataclass(frozen=True)
class Scale:
    """How much is measured. ``side`` is that of training crops in pixels, ``window`` the number of images
    that are evaluated before the clock starts, ``gradients`` the number of elements that are exchanged."""

    device: str = "cuda"
    batch: int = 64
    side: int = 224
    seconds: float = 8
    images: int = 1024
    window: int = 256
    gradients: int = 138_357_544  # VGG-D's

    def precision(self, wanted: str) -> str:
        """A CPU has no other than float32."""
        return wanted if self.device == "cuda" else "fp32"


DRY = Scale("cpu", batch=2, side=32, seconds=0.1, images=6, window=2, gradients=1 << 20)
Part = Iterator[dict[str, Any]]
"""What a part finds, as it finds it."""


def timed(step: Callable[[], object], at_least: float) -> float:
    """Seconds a step, of steps that take ``at_least`` seconds together, after three that warm up."""
    for _ in range(3):
        step()
    begin, count = time.perf_counter(), 0
    while (seconds := time.perf_counter() - begin) < at_least or count < 3:
        step()
        count += 1
    return seconds / count


def step_part(net: str, precision: str, scale: Scale) -> Part:
    from vggrepro.graph.training_step import build_training_step
    from vggrepro.training.definition import read_definition
    from vggrepro.training.solver import Solver

    definition = read_definition(ROOT / f"prototxt/{net}/solver.prototxt", ["random_seed: 1"])
    shapes = {"data": (scale.batch, 3, scale.side, scale.side), "label": (scale.batch,)}
    asked: Any = scale.precision(precision)
    solver = Solver(definition, device=scale.device, precision=asked, input_shapes=shapes)
    rng = np.random.default_rng(0)
    feeds = {
        "data": rng.standard_normal(shapes["data"], np.float32),
        "label": rng.integers(0, 1000, scale.batch).astype(np.float32),
    }
    seconds = timed(lambda: solver.step([feeds]), scale.seconds)
    memory = solver.device.memory()
    yield {
        "images_per_s": scale.batch / seconds,
        "seconds": seconds,
        "memory_gib": None if memory is None else (memory.total - memory.free) / 2**30,
    }
    graph = build_training_step(solver.net, "cuda" if precision == "fp32" else "cuda-tf32")
    yield {"model_h100": asdict(cost_of(graph, H100[precision]))}


def torch_part(net: str, precision: str, scale: Scale) -> Part:
    import torch
    from torch import nn
    from torch_vgg import vgg

    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    model = vgg(net, side=scale.side, dropout=0.5).to(scale.device)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, weight_decay=5e-4)
    criterion = nn.CrossEntropyLoss()
    data = torch.randn(scale.batch, 3, scale.side, scale.side)
    label = torch.randint(0, 1000, (scale.batch,))

    def step() -> float:
        optimizer.zero_grad()
        loss = criterion(model(data.to(scale.device)), label.to(scale.device))
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    seconds = timed(step, scale.seconds)
    yield {
        "images_per_s": scale.batch / seconds,
        "seconds": seconds,
        "memory_gib": torch.cuda.max_memory_reserved() / 2**30 if scale.device == "cuda" else None,
    }


def evaluation_part(kind: str, precision: str, scale: Scale) -> Part:
    """Images a second from the tar to posteriors, without the first window."""
    from pictures import picture, write_tar

    from vggrepro.data.augment import ILSVRC_MEAN_BGR
    from vggrepro.data.sources import open_images
    from vggrepro.evaluation.measuring.evaluated_net import EvaluatedNet, posterior_score, score_blob
    from vggrepro.evaluation.measuring.pipeline import Answer, Execution, ImageSet, Pipeline
    from vggrepro.evaluation.measuring.size_order import ordered_by_size
    from vggrepro.evaluation.protocols import Stream
    from vggrepro.system.threads import default_threads

    net = drawn_net("D")
    network = EvaluatedNet("D", net, "data", 224, score_blob(net), 1000, ILSVRC_MEAN_BGR, "", "")
    stream = Stream("D", "dense" if kind == "dense" else "five", 256, flip=False)
    asked: Any = scale.precision(precision)
    execution = Execution(
        scale.device, batch=scale.batch, window=scale.window, workers=default_threads(), precision=asked
    )
    with tempfile.TemporaryDirectory() as folder:
        made = [picture(np.random.default_rng(i), *shape) for i, shape in enumerate(SHAPES)]
        tar = write_tar(Path(folder) / "images.tar", [made[i % len(made)] for i in range(scale.images)])
        images = ordered_by_size(ImageSet.whole(open_images(tar)), [stream], execution.workers)
        score = posterior_score(network, [stream], execution)
        pipeline = Pipeline(images, (stream,), 224, ILSVRC_MEAN_BGR, execution)
        found = [time.perf_counter() for a in pipeline.all_answers(score) if isinstance(a, Answer)]
    timed_images = len(found) - scale.window
    yield {
        "images_per_s": timed_images / (found[-1] - found[scale.window - 1]),
        "views": stream.view_count,
    }


def drawn_net(net: str) -> Any:
    """The paper's net with weights that are not zero: a GPU computes faster on zeros."""
    from train_step import with_drawn_weights

    from vggrepro.net import load_net

    return with_drawn_weights(load_net(ROOT / f"prototxt/{net}/deploy.prototxt", fill=False))


def bare_part(kind: str, precision: str, scale: Scale) -> Part:
    """Images a second of ONNX Runtime alone: the plain graph on batches of the same sizes, which lie on the
    device already."""
    from vggrepro.graph.forward import build_forward
    from vggrepro.net.transforms.fully_convolutional import fully_convolutional

    net, crops = drawn_net("D"), 5 if kind == "crops" else 1
    sizes = [(224, 224)] if kind == "crops" else [(256, 341)] * 3 + [(384, 256)]
    net = net if kind == "crops" else fully_convolutional(net)
    per_image = 0.0
    for size in dict.fromkeys(sizes):
        shape = (scale.batch, 3, *size)
        run = bare_run(build_forward(net.reshape({"data": shape})), shape, scale, precision)
        share = sizes.count(size) / len(sizes)
        per_image += share * crops * timed(run, scale.seconds / 4) / scale.batch
    yield {"images_per_s": 1 / per_image}


def bare_run(graph: Any, shape: tuple[int, ...], scale: Scale, precision: str) -> Callable[[], object]:
    """A pass of a session of ONNX Runtime as anyone would make it, its input and output on the device."""
    import onnxruntime

    from vggrepro.runtime.device import Device, require
    from vggrepro.runtime.precision import prepare_precision

    device = Device("cuda" if scale.device == "cuda" else "cpu")
    prepare_precision(scale.precision(precision), device)  # type: ignore[arg-type]
    require(device)
    model = graph.to_model()
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=device.providers(precision == "tf32")
    )
    binding = session.io_binding()
    data = np.random.default_rng(0).normal(0, 60, shape).astype(np.float32)
    binding.bind_ortvalue_input("data", onnxruntime.OrtValue.ortvalue_from_numpy(data, device.kind, 0))
    for output in session.get_outputs():
        binding.bind_output(output.name, device.kind, 0)
    return lambda: session.run_with_iobinding(binding)


def exchange_part(kind: str, _precision: str, scale: Scale) -> Part:
    """Seconds for the sum of VGG-D's gradients, as one of the ranks."""
    from vggrepro.runtime.device import Device, require
    from vggrepro.runtime.device_array import DeviceArray
    from vggrepro.system.ranks import find_ranks
    from vggrepro.training.gradient_exchange import MpiExchange
    from vggrepro.training.nccl_exchange import NcclExchange

    ranks = find_ranks()
    device = Device("cuda", ranks.local_rank) if scale.device == "cuda" else Device("cpu")
    require(device)
    gradients = DeviceArray(scale.gradients, device)
    exchange = NcclExchange(ranks, device) if kind == "nccl" else MpiExchange(ranks)
    seconds = timed_together(lambda: exchange.begin(gradients)(gradients.size), ranks)
    if ranks.rank == 0:
        yield {"ranks": ranks.size, "seconds": seconds, "gb_per_s": 4e-9 * scale.gradients / seconds}


def timed_together(step: Callable[[], object], ranks: Any, count: int = 8) -> float:
    """Seconds a step that all ranks take together."""
    step()
    ranks.barrier()
    begin = time.perf_counter()
    for _ in range(count):
        step()
    ranks.barrier()
    return (time.perf_counter() - begin) / count


PARTS = {
    "step": step_part,
    "torch": torch_part,
    "evaluation": evaluation_part,
    "bare": bare_part,
    "exchange": exchange_part,
}


def planned(ranks: int, options: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Each part's name and command, the most wanted ones first."""
    me = [sys.executable, str(Path(__file__).resolve()), *options, "--part"]
    pytest = [sys.executable, "-m", "pytest", "-q", "-rfE", "--tb=line", "-p", "no:cacheprovider"]
    pytest += ["-n", str(TEST_PROCESSES)] if find_spec("xdist") else []
    parts = [("tests", [*pytest, "-m", "cuda", "tests/runtime/test_cuda.py"])]
    for precision in ("fp32", "tf32"):
        for side in ("step", "torch"):
            parts += [(f"{side} {net} {precision}", [*me, side, net, precision]) for net in ("D", "A")]
    for kind in ("dense", "crops"):
        parts += [(f"{part} {kind} fp32", [*me, part, kind, "fp32"]) for part in ("evaluation", "bare")]
    beside = Path(sys.executable).parent / "mpirun"
    mpirun = [str(beside) if beside.exists() else "mpirun", "-n", str(ranks)]
    for kind in ("nccl", "mpi")[: 1 + (ranks > 1)]:
        parts.append((f"exchange {kind}", [*(mpirun if ranks > 1 else []), *me, "exchange", kind, "fp32"]))
    return parts


def run_part(name: str, command: Sequence[str], seconds: float) -> dict[str, Any]:
    """What a part's process says; with ``failed`` where that is not all that it should."""
    if seconds <= 0:
        return {"failed": "no time was left"}
    code, out, err = _output_of(command, seconds)
    lines = [line for line in out.splitlines() if line.strip()]
    late = {"failed": f"took longer than {seconds:.0f} s"} if code is None else {}
    if name == "tests":
        summary = lines[-1] if lines else ""
        wrong = [line for line in lines if line.startswith(("FAILED", "ERROR", "E ", "/"))]
        passed = code == 0 and re.search(r"\d+ passed", summary)
        failed = {} if passed else {"failed": summary or (err.strip().splitlines() or ["no tests ran"])[-1]}
        return {"summary": summary, "output": wrong[:MOST_LINES], **failed, **late}
    found: dict[str, Any] = {}
    for line in lines:
        if line.startswith("{"):
            found |= json.loads(line)
    if code or not found:
        found["failed"] = (err.strip().splitlines() or ["no answer"])[-1]
        found["output"] = err.strip().splitlines()[-MOST_LINES:]
    return found | late


def _output_of(command: Sequence[str], seconds: float) -> tuple[int | None, str, str]:
    """A process's exit code (None: it was stopped when the time was over), stdout and stderr."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        try:
            process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=err, start_new_session=True)
        except OSError as error:
            return 1, "", str(error)
        try:
            code: int | None = process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # ranks too, which would keep their GPUs
                process.wait()
        out.seek(0)
        err.seek(0)
        return code, out.read(), err.read()


def gpus() -> list[dict[str, str]]:
    """The GPUs, as nvidia-smi has them."""
    facts = ("name", "driver_version", "memory.total")
    query = ["nvidia-smi", f"--query-gpu={','.join(facts)}", "--format=csv,noheader"]
    try:
        lines = subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip().splitlines()
    except (OSError, subprocess.CalledProcessError):
        return []
    return [dict(zip(facts, line.split(", "), strict=True)) for line in lines]


def table(parts: dict[str, dict[str, Any]]) -> str:
    """One row a part."""
    rows = ["| part | images/s | ms | GiB | model of an H100, ms | GB | GFLOP |", "|" + "---|" * 7]
    for name, found in parts.items():
        model = found.get("model_h100", {})
        cells = [
            found.get("summary") or _number(found.get("images_per_s")),
            _number(found.get("seconds"), 1e3),
            _number(found.get("memory_gib")),
            _number(model.get("seconds"), 1e3),
            _number(model.get("bytes"), 1e-9),
            _number(model.get("flops"), 1e-9),
        ]
        failed = f", failed: {found['failed']}".replace("|", "/") if "failed" in found else ""
        rows.append(f"| {name}{failed} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _number(value: float | None, factor: float = 1) -> str:
    return "" if value is None else f"{value * factor:,.1f}"


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    scale = DRY if arguments.dry_run else Scale(batch=arguments.batch)
    if arguments.part:
        kind, which, precision = arguments.part
        for found in PARTS[kind](which, precision, scale):
            print(json.dumps(found), flush=True)
        return 0
    there = gpus()
    called = re.sub(r"[^A-Za-z0-9]+", "-", there[0]["name"]).strip("-") if there else "unknown"
    path = arguments.json or RESULTS / f"gpu-{'dry-run' if arguments.dry_run else called}.json"
    ranks = 2 if arguments.dry_run else len(there)
    options = ["--dry-run"] if arguments.dry_run else ["--batch", str(arguments.batch)]
    plan = [part for part in planned(ranks, options) if part[0].split()[0] in arguments.only]
    parts = run_all(plan, path, there)
    print(table(parts))
    print(f"written to {path}", file=sys.stderr)
    needed = [name for name in parts if not name.startswith(("torch", "exchange"))]
    return 1 if any("failed" in parts[name] for name in needed) else 0


def run_all(
    plan: Sequence[tuple[str, list[str]]], path: Path, there: Sequence[dict[str, str]]
) -> dict[str, dict[str, Any]]:
    """Every part's answer; the file at ``path`` has, at any moment, those that are there."""
    end = time.monotonic() + SECONDS
    parts: dict[str, dict[str, Any]] = {}
    about = {"gpus": there, "machine": machine("onnxruntime-gpu", "torch", "nccl4py", "numpy")}
    for name, command in plan:
        began = time.monotonic()
        most = min(end - began, TESTS_SECONDS if name == "tests" else PART_SECONDS)
        parts[name] = run_part(name, command, most)
        parts[name]["took"] = round(time.monotonic() - began, 1)
        path.write_text(json.dumps({**about, "parts": parts}, indent=1) + "\n")
        print(f"{name}: {parts[name]}", file=sys.stderr, flush=True)
    return parts


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--batch", type=int, default=64, help="images a training step (default: 64)")
    parser.add_argument("--dry-run", action="store_true", help="every part in small, on the CPU")
    parser.add_argument("--json", type=Path, metavar="FILE", help="default: benchmarks/results/gpu-NAME.json")
    kinds = ["tests", *PARTS]
    parser.add_argument("--only", nargs="+", choices=kinds, default=kinds, help="some kinds of parts alone")
    parser.add_argument("--part", nargs=3, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
