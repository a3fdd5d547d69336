#!/usr/bin/env python3
"""The paper's findings, measured on the embedded digits: depth, LRN, scale jitter, multi-scale tests, and
what the initialisation decides.

    python benchmarks/demo_findings.py --output runs/findings --jobs 2

Trains ten miniatures of the paper's nets (two of them diverge at once), some 100 to 250 processor seconds per
1,000 iterations each, and goes on where it was if it is started again. Writes findings.json,
training-findings.md and pictures (needs the extra ``plot``) to the output folder.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vggrepro.caffe.messages import LayerParameter
from vggrepro.caffe.text import format_message, read_net
from vggrepro.caffe.upgrade import upgrade_net_param
from vggrepro.cli import eval_ilsvrc, plot_training
from vggrepro.evaluation import demo
from vggrepro.training.curves import read_curves

ROOT = Path(__file__).resolve().parents[1]
SOLVER = demo.FOLDER / "VGG_A_digits_solver.prototxt"
BLOCKS = {"A": (1, 1, 2, 2, 2), "B": (2, 2, 2, 2, 2), "D": (2, 2, 3, 3, 3), "A-LRN": (1, 1, 2, 2, 2)}
"""Convolutions in each block of a configuration."""
JITTER, FIXED = (64, 84), (74, 74)
SCALES = (64, 74, 84)
"""Q of the multi-scale test: the ends and the middle of the jitter's range."""


@dataclass(frozen=True)
class Run:
    """One training: a configuration, its scale, its fillers, its first rate, its seed."""

    config: str = "A"
    smallest: tuple[int, int] = JITTER
    init: tuple[str, ...] = ("prototxt",)
    rate: float = 0.01
    seed: int = 1

    @property
    def name(self) -> str:
        scale = "jitter" if self.smallest == JITTER else f"S{self.smallest[0]}"
        return "_".join([self.config, scale, *self.init, f"rate{self.rate:g}", f"seed{self.seed}"])


RATE = 0.01
STARTS = {
    "variance 10^-2 (std 0.1)": (("variance", "0.1"), (RATE, 0.001, 0.0001)),
    "std 0.01": (("variance", "0.01"), (RATE,)),
    "He (msra)": (("msra",), (0.001,)),
    "Glorot": (("prototxt",), (RATE,)),
}
"""Initialisations, and the rates at which each is tried: what begins with large scores diverges at 0.01."""
DIVERGED = "the loss is nan"


def runs(seeds: Sequence[int]) -> list[Run]:
    """Everything that is compared; what two comparisons share is trained once."""
    found = []
    for seed in seeds:
        found += [Run(config=config, seed=seed) for config in BLOCKS]
        found.append(Run(smallest=FIXED, seed=seed))
    found += [run for _, run in starts()]
    return list(dict.fromkeys(found))


def starts() -> list[tuple[str, Run]]:
    """The initialisations with their names."""
    return [(name, Run(init=init, rate=r)) for name, (init, rates) in STARTS.items() for r in rates]


def write_net(config: str, folder: Path) -> None:
    """The demo's training net and its deployed form with the convolutions of a configuration."""
    for kind in ("train_val", "deploy"):
        source = demo.FOLDER / f"VGG_A_digits_{kind}.prototxt"
        net = upgrade_net_param(read_net(source), str(source))
        layers: list[Any] = []
        for layer in net.layer:
            layers += _variant(layer, config, layers)
        del net.layer[:]
        net.layer.extend(layers)
        (folder / f"{kind}.prototxt").write_text(format_message(net))


def _variant(layer: Any, config: str, before: Sequence[Any]) -> list[Any]:
    """A layer of net A, and before a pooling what the configuration has besides."""
    if layer.type != "Pooling":
        return [layer]
    block = int(layer.name.removeprefix("pool"))
    added: list[Any] = []
    bottom = layer.bottom[0]
    if config == "A-LRN" and block == 1:
        added.append(LayerParameter(name="norm1_1", type="LRN", bottom=[bottom], top=["norm1_1"]))
        added[0].lrn_param.local_size = 5
        added[0].lrn_param.alpha, added[0].lrn_param.beta = 1e-4, 0.75
        bottom = "norm1_1"
    template = next(item for item in reversed(before) if item.type == "Convolution")
    for number in range(BLOCKS["A"][block - 1] + 1, BLOCKS[config][block - 1] + 1):
        name = f"conv{block}_{number}"
        convolution = LayerParameter()
        convolution.CopyFrom(template)
        convolution.name, convolution.bottom[0], convolution.top[0] = name, bottom, name
        relu = LayerParameter(name=f"relu{block}_{number}", type="ReLU", bottom=[name], top=[name])
        added += [convolution, relu]
        bottom = name
    pool = LayerParameter()
    pool.CopyFrom(layer)
    pool.bottom[0] = bottom
    return [*added, pool]


def train(run: Run, folder: Path, iterations: int) -> Path | None:
    """Train to the end, or go on, and return the weights; None if the run diverged."""
    weights = folder / run.name / f"net_iter_{iterations}.caffemodel"
    out = folder / run.name / "out"
    if weights.with_suffix(".solverstate").exists():
        return weights
    if out.exists() and DIVERGED in out.read_text():
        return None
    weights.parent.mkdir(parents=True, exist_ok=True)
    write_net(run.config, weights.parent)
    command = [sys.executable, str(ROOT / "tools" / "train_ilsvrc.py"), "--demo"]
    command += ["--set", f'net: "{weights.parent / "train_val.prototxt"}"']
    command += ["--set", f"max_iter: {iterations}", "--set", f"base_lr: {run.rate:g}"]
    command += ["--snapshot-prefix", str(weights.parent / "net"), "--resume", "--keep", "1", "--no-keep-best"]
    command += ["--smallest", ",".join(map(str, run.smallest)), "--val-smallest", str(SCALES[1])]
    command += ["--seed", str(run.seed), "--threads", "1", "--workers", "1", "--init", run.init[0]]
    command += ["--init-std", *run.init[1:]] if run.init[1:] else []
    with out.open("a") as file:
        done = subprocess.run(
            command, stdout=file, stderr=file, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
    if done.returncode and DIVERGED in out.read_text():
        print(f"{run.name} diverged", file=sys.stderr)
        return None
    if done.returncode:
        raise SystemExit(f"{run.name}: exit code {done.returncode}, see {out}")
    print(f"{run.name} trained", file=sys.stderr)
    return weights


def errors(weights: Path) -> dict[str, float]:
    """Top-1 error in percent of dense tests: at each scale alone, and of all scales together."""
    target = weights.parent / "errors.json"
    if not target.exists():
        command = ["--images", str(demo.IMAGES), "--labels", str(demo.LABELS)]
        command += ["--synsets", str(demo.SYNSETS), "--mean", ",".join(map(str, demo.mean_bgr()))]
        command += ["--deploy", str(weights.parent / "deploy.prototxt"), "--weights", str(weights)]
        command += ["--no-flip", "--protocol", "dense", "--scales", ",".join(map(str, SCALES))]
        code = eval_ilsvrc.main([*command, "--json", str(target), "--threads", "1"])
        if code:
            raise SystemExit(code)
    report = json.loads(target.read_text())
    found = {"multi": report["top1_error_percent"]}
    for part in report["parts"]:
        (member,) = part["members"]
        found["+".join(map(str, member["scales"]))] = part["top1_error_percent"]
    return found


def _mean(values: Sequence[float]) -> str:
    """Mean and range over seeds."""
    text = f"{statistics.mean(values):.1f}"
    return text if len(values) == 1 else f"{text} ({min(values):.1f} to {max(values):.1f})"


def table(rows: Mapping[str, Sequence[Mapping[str, float]]]) -> list[str]:
    """Rows of top-1 errors: single scale and multi-scale."""
    middle = str(SCALES[1])
    lines = [
        f"| | Q = {middle} | Q = {{{', '.join(map(str, SCALES))}}} | seeds |",
        "| --- | --- | --- | --- |",
    ]
    for name, found in rows.items():
        single, multi = ([f[key] for f in found] for key in (middle, "multi"))
        lines.append(f"| {name} | {_mean(single)} | {_mean(multi)} | {len(found)} |")
    return lines


def takeoff(log: Path) -> str:
    """When the displayed loss first fell below 2, and the last one."""
    curves = read_curves(log)
    below = next((str(i) for i, loss in curves.loss if loss < 2), "never")
    return f"{below} | {curves.loss[-1][1]:.3g}"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("runs/findings"), metavar="DIR")
    parser.add_argument("--iterations", type=int, default=2000, help="of each training (default: 2000)")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each compared net (default: 1)")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time (default: 2)")
    arguments = parser.parse_args(argv)
    folder = arguments.output
    wanted = runs(range(1, arguments.seeds + 1))
    with ThreadPoolExecutor(arguments.jobs) as pool:
        weights = list(pool.map(lambda run: train(run, folder, arguments.iterations), wanted))
    found = {r: errors(w) for r, w in zip(wanted, weights, strict=True) if w is not None}
    (folder / "findings.json").write_text(
        json.dumps({run.name: value for run, value in found.items()}, indent=1) + "\n"
    )
    (folder / "training-findings.md").write_text("\n".join(report(found, folder)) + "\n")
    pictures(found, folder)
    print(folder / "training-findings.md")
    return 0


def report(found: Mapping[Run, Mapping[str, float]], folder: Path) -> list[str]:
    """The tables, as Markdown."""

    def of(config: str, smallest: tuple[int, int]) -> list[Mapping[str, float]]:
        return [
            e
            for r, e in found.items()
            if (r.config, r.smallest, r.init, r.rate) == (config, smallest, ("prototxt",), RATE)
        ]

    depth = {f"{c} ({sum(BLOCKS[c]) + 3} layers)": of(c, JITTER) for c in ("A", "B", "D")}
    lrn = {name: of(name, JITTER) for name in ("A", "A-LRN")}
    scale = {f"S = {FIXED[0]}": of("A", FIXED), f"S from [{JITTER[0]}; {JITTER[1]}]": of("A", JITTER)}
    lines: list[str] = []
    for title, rows in (("Depth", depth), ("LRN", lrn), ("Scale jitter (net A)", scale)):
        lines += [f"### {title}", "", *table(rows), ""]
    lines += ["### Initialisation (net A)", ""]
    lines += ["| weights | rate | loss below 2 at iteration | last loss | top-1 error |"]
    lines += ["| --- | --- | --- | --- | --- |"]
    for name, run in starts():
        course = takeoff(folder / run.name / "net.jsonl") if run in found else "diverged | - "
        error = f"{found[run][str(SCALES[1])]:.1f}" if run in found else "-"
        lines.append(f"| {name} | {run.rate:g} | {course} | {error} |")
    return lines


def pictures(found: Mapping[Run, Mapping[str, float]], folder: Path) -> None:
    """Courses of the initialisations that did not diverge, and of the configurations."""
    begun = {f"{name}, rate {run.rate:g}": run for name, run in starts() if run in found}
    for target, named in (
        ("training-init", begun),
        ("training-depth", {name: Run(config=name) for name in BLOCKS}),
    ):
        logs = [f"{name}={folder / run.name / 'net.jsonl'}" for name, run in named.items()]
        if plot_training.main([*logs, "-o", str(folder / f"{target}.png")]):
            raise SystemExit(2)


if __name__ == "__main__":
    sys.exit(main())
