"""Converting VGG-16: time against copying the file, and peak memory against the file's size.

Run: python benchmarks/convert.py [--json FILE]. Makes a 528 MB caffemodel of random weights first, in a
temporary folder. Every measurement is a process of its own; medians of --repeats.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from vggrepro.caffe.snapshot import write_caffemodel
from vggrepro.net import load_net

DEPLOY = Path(__file__).parent.parent / "prototxt" / "D" / "deploy.prototxt"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "VGG_ILSVRC_16_layers.caffemodel"
        make_weights(model)
        result = measure(model, Path(folder), arguments.repeats)
    print(json.dumps(result, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


def make_weights(path: Path) -> None:
    """A caffemodel of configuration D with random weights."""
    net = load_net(DEPLOY)
    rng = np.random.default_rng(0)
    blobs = {
        p.name: [rng.standard_normal(u.definition.shape, np.float32) for u in p.params]
        for p in net.layers
        if p.params
    }
    write_caffemodel(path, net.message, blobs)


def measure(model: Path, folder: Path, repeats: int) -> dict[str, object]:
    command = [
        sys.executable,
        "-m",
        "vggrepro.cli.convert_caffemodel",
        str(DEPLOY),
        str(model),
        "-o",
        str(folder / "out.onnx"),
    ]
    convert, copies, peaks = [], [], []
    for _ in range(repeats):
        start = time.perf_counter()
        shutil.copyfile(model, folder / "copy")
        with (folder / "copy").open("rb") as file:
            os.fsync(file.fileno())
        copies.append(time.perf_counter() - start)
        (folder / "copy").unlink()
        start = time.perf_counter()
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        convert.append(time.perf_counter() - start)
        assert status == 0, status
        peaks.append(usage.ru_maxrss * 1024)
        (folder / "out.onnx").unlink()
    size = model.stat().st_size
    return {
        "file_bytes": size,
        "copy_seconds": statistics.median(copies),
        "convert_seconds": statistics.median(convert),
        "time_ratio": statistics.median(convert) / statistics.median(copies),
        "peak_bytes": max(peaks),
        "memory_ratio": max(peaks) / size,
        "goals": {"time_ratio": 3.0, "memory_ratio": 1.6},
    }


if __name__ == "__main__":
    main()
