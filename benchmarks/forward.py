#!/usr/bin/env python3
"""VGG-16's forward pass beside the runtimes that one would use instead, each in a process of its own.

    python benchmarks/forward.py --with opencv4=PYTHON openvino=PYTHON torch=PYTHON --json FILE

One image and eight of 224 x 224, and one of 384 x 512 through the fully convolutional net; random weights,
two threads. All take turns, run by run, and the median over the rounds of the ratios counts. ONNX Runtime and
OpenCV are those of the interpreter that runs this; --with names interpreters that have the others (torch also
gives torch.compile). Beside them stands what the processor could do: the products and sums of the pass, by
direct summation, at the rate of a large matrix product in numpy. Exit code 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from adapters.forward_run import image_of
from convert import DEPLOY
from machine import machine, version_of
from turns import Worker, median_of, take_turns, times_as_fast

from vggrepro import load_net, to_onnx
from vggrepro.caffe.snapshot import write_caffemodel
from vggrepro.graph.reference import reference_forward
from vggrepro.net import Net
from vggrepro.net.transforms.fully_convolutional import fully_convolutional

CASES = {
    "batch 1": ((1, 3, 224, 224), 1.15),
    "batch 8": ((8, 3, 224, 224), 1.3),
    "dense 384 x 512": ((1, 3, 384, 512), 1.3),
}
"""The shape of the input, and how many times as fast as the fastest other runtime this package shall be."""
MODULES = {
    "opencv4": "cv2",
    "opencv": "cv2",
    "openvino": "openvino",
    "torch": "torch",
    "onnxruntime": "onnxruntime",
}
ADAPTER = Path(__file__).parent / "adapters" / "forward_run.py"
AGREEMENT = 1e-3
"""How far a runtime's scores may be from the reference's, relative to the largest, to be those of the net."""


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    others = dict(entry.split("=", 1) for entry in arguments.others)
    pythons = dict.fromkeys(("vggrepro", "onnxruntime", "opencv"), sys.executable) | others
    if "torch" in pythons:
        pythons["torch_compile"] = pythons["torch"]
    result: dict[str, Any] = {
        "machine": machine("vggrepro", "numpy"),
        "versions": {
            name: version_of(python, MODULES[name]) for name, python in pythons.items() if name in MODULES
        },
        "threads": arguments.threads,
        "gflops_of_a_matrix_product": round(product_rate(arguments.threads) / 1e9),
        "cases": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        make_caffe_files(Path(folder))
        for case in arguments.only or CASES:
            print(f"{case} ...", file=sys.stderr)
            result["cases"][case] = measure(case, Path(folder), pythons, arguments)
    print(json.dumps(result, indent=1))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0 if all(entry["ratio"] >= entry["goal"] for entry in result["cases"].values()) else 1


def measure(
    case: str, folder: Path, pythons: dict[str, str], arguments: argparse.Namespace
) -> dict[str, Any]:
    """Medians of one case, and this package's ratio to the fastest of the others."""
    shape, goal = CASES[case]
    workers = {}
    for name, python in pythons.items():
        model = written(folder, case, "opencv4" if name == "opencv4" else "opencv5")
        sizes = ",".join(map(str, shape))
        adapter = "opencv" if name == "opencv4" else name
        scores = folder / f"{name}.npy"
        command = [python, str(ADAPTER), adapter, str(model), sizes, str(arguments.threads), str(scores)]
        workers[name] = Worker(command)
    turns = take_turns(workers, arguments.rounds, warmup=2)
    ratios = {name: times_as_fast(turns["vggrepro"], entries) for name, entries in turns.items()}
    fastest = min((name for name in ratios if name != "vggrepro"), key=ratios.__getitem__)
    return {
        "milliseconds": {
            name: round(1e3 * median_of(entries, "seconds"), 1) for name, entries in turns.items()
        },
        "peak_mb": {name: round(median_of(entries, "peak") / 1e6) for name, entries in turns.items()},
        "errors": errors(case, folder, list(turns)),
        "gflop_of_direct_summation": round(operations(shape) / 1e9, 1),
        "ratios": {name: round(ratio, 3) for name, ratio in ratios.items()},
        "fastest_other": fastest,
        "ratio": round(ratios[fastest], 3),
        "goal": goal,
    }


def make_caffe_files(folder: Path) -> None:
    """VGG-16 up to its scores, with random weights that keep activations in range, as Caffe's files and as
    arrays."""
    text = DEPLOY.read_text()
    (folder / "deploy.prototxt").write_text(text[: text.rindex("layer {")])  # without the softmax
    net = load_net(folder / "deploy.prototxt")
    rng = np.random.default_rng(0)
    blobs, arrays = {}, []
    for layer in net.layers:
        for use in layer.params:
            shape = use.definition.shape
            array = rng.standard_normal(shape, np.float32) * np.float32(
                np.sqrt(2 / max(1, np.prod(shape[1:])))
            )
            blobs.setdefault(layer.name, []).append(array)
            arrays.append(array)
    write_caffemodel(folder / "weights.caffemodel", net.message, blobs)
    np.savez(folder / "weights.npz", **{str(number): array for number, array in enumerate(arrays)})


def written(folder: Path, case: str, target: str) -> Path:
    """The folder of the case's model in the target's form, beside links to the Caffe files."""
    shape, _ = CASES[case]
    place = folder / f"{case} {target}".replace(" ", "_")
    if place.exists():
        return place
    place.mkdir()
    for name in ("deploy.prototxt", "weights.caffemodel", "weights.npz"):
        (place / name).symlink_to(folder / name)
    onnx.save(to_onnx(loaded(folder, shape), target=target, fixed=True), place / "model.onnx")
    return place


def loaded(folder: Path, shape: tuple[int, ...]) -> Net:
    """The net for an input of this shape, fully convolutional for others than its own."""
    net = load_net(folder / "deploy.prototxt", folder / "weights.caffemodel")
    return (net if shape[2:] == (224, 224) else fully_convolutional(net)).reshape({"data": shape})


def errors(case: str, folder: Path, names: Sequence[str]) -> dict[str, float]:
    """The largest differences of the first image's scores from the float64 reference, relative to the largest
    score. Raises SystemExit if a runtime computed another net."""
    image = image_of(CASES[case][0])[:1]
    expected = reference_forward(loaded(folder, image.shape), {"data": image})["fc8"][0].ravel()
    found = {}
    for name in names:
        difference = np.load(folder / f"{name}.npy")[0].ravel() - expected
        found[name] = float(np.abs(difference).max() / np.abs(expected).max())
        if found[name] > AGREEMENT:
            raise SystemExit(f"{case}: the scores of {name} are off by {found[name]:.1e} of the largest")
    return {name: float(f"{error:.1e}") for name, error in found.items()}


def operations(shape: tuple[int, ...]) -> float:
    """Multiplications and additions of the convolutions and fully connected layers by direct summation."""
    net = fully_convolutional(load_net(DEPLOY)).reshape({"data": shape})
    total = 0.0
    for layer in net.layers:
        if layer.params:
            weight = layer.params[0].definition.shape
            top = net.shapes[layer.tops[0]]
            total += 2.0 * float(np.prod(weight)) * top[0] * float(np.prod(top[2:]))
    return total


def product_rate(threads: int) -> float:
    """Operations a second of a float32 product of 2048 x 2048 matrices in numpy."""
    code = (
        "import time, numpy; a = numpy.ones((2048, 2048), numpy.float32); a @ a; times = []\n"
        "for _ in range(9): b = time.perf_counter(); a @ a; times.append(time.perf_counter() - b)\n"
        "print(2 * 2048**3 / sorted(times)[4])"
    )
    command = ["env", "-u", "OPENBLAS_CORETYPE", "-u", "OPENBLAS_L2_SIZE", f"OPENBLAS_NUM_THREADS={threads}"]
    found = subprocess.run([*command, sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return float(found.stdout)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--with", dest="others", nargs="+", default=[], metavar="NAME=PYTHON", help="opencv4, openvino, torch"
    )
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="of each (default: 2)")
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="turns of each (default: 15)")
    parser.add_argument("--only", action="append", choices=list(CASES), help="repeatable (default: all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result")
    return parser


if __name__ == "__main__":
    sys.exit(main())
