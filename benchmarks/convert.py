"""Converting VGG-16: time against copying the file, and peak memory against the file's size.

Run: python benchmarks/convert.py [--json FILE]. Makes a 528 MB caffemodel of random weights first, in a
temporary folder. Every measurement is a process of its own, copy and conversion in turn; both end when
the file is on the disk. Memory is the peak of the resident set, pages of the mapped file included.

Python's bytecode of every module is there, as after an installation: a conversion that is not measured comes
first, and PYTHONDONTWRITEBYTECODE does not count.

Digesting and writing run in two threads, so that other load on the machine slows a conversion more than a
copy. The result tells the load and the scheduling it was measured under: "fifo" is Linux's real-time policy
(chrt -f 10 python benchmarks/convert.py), under which other processes hardly count.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from turns import run_apart

DEPLOY = Path(__file__).parent.parent / "prototxt" / "D" / "deploy.prototxt"
GOALS = {"time_ratio": 2.2, "memory_ratio": 0.15}

ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

COPY = """
import os, shutil, sys
shutil.copyfile(sys.argv[1], sys.argv[2])
with open(sys.argv[2], "rb") as file:
    os.fsync(file.fileno())
"""


def main() -> int:
    """Exit codes: 0 within the goals, 1 beyond them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7, help="of each measurement (default: 7)")
    parser.add_argument(
        "--folder", type=Path, help="on the disk to measure (default: the system's for such files)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        model = Path(folder) / "VGG_ILSVRC_16_layers.caffemodel"
        run_apart(make_weights, model)
        result = measure(model, Path(folder), arguments.repeats)
    print(json.dumps(result, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0 if all(result[name] <= goal for name, goal in GOALS.items()) else 1


def make_weights(path: Path) -> None:
    """A caffemodel of configuration D with random weights."""
    from vggrepro.caffe.snapshot import write_caffemodel
    from vggrepro.net import load_net

    net = load_net(DEPLOY)
    rng = np.random.default_rng(0)
    blobs = {
        p.name: [rng.standard_normal(u.definition.shape, np.float32) for u in p.params]
        for p in net.layers
        if p.params
    }
    write_caffemodel(path, net.message, blobs)


def measure(model: Path, folder: Path, repeats: int) -> dict[str, object]:
    out = folder / "out"
    copy = [sys.executable, "-c", COPY, str(model), str(out)]
    convert = [
        sys.executable,
        "-m",
        "vggrepro.cli.convert_caffemodel",
        str(DEPLOY),
        str(model),
        "-o",
        str(out),
    ]
    copies, conversions = [], []
    run(convert, out)  # writes the bytecode
    load = os.getloadavg()[0]
    for _ in range(repeats):
        copies.append(run(copy, out))
        conversions.append(run(convert, out))
    size = model.stat().st_size
    copied = statistics.median(seconds for seconds, _ in copies)
    converted = statistics.median(seconds for seconds, _ in conversions)
    peak = max(memory for _, memory in conversions)
    return {
        "file_bytes": size,
        "copy_seconds": round(copied, 3),
        "convert_seconds": round(converted, 3),
        "time_ratio": round(converted / copied, 2),
        "peak_bytes": peak,
        "memory_ratio": round(peak / size, 2),
        "goals": GOALS,
        "repeats": repeats,
        "cpus": os.cpu_count(),
        "load_average_before": round(load, 1),
        "scheduling": scheduling(),
        "machine": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
    }


def scheduling() -> str:
    """The policy of this process and its children: normal, or fifo (real-time)."""
    policies = {getattr(os, f"SCHED_{name}", None): name.lower() for name in ("FIFO", "RR", "BATCH", "IDLE")}
    policy = os.sched_getscheduler(0) if hasattr(os, "sched_getscheduler") else None
    return policies.get(policy, "normal") if policy is not None else "normal"


def run(command: list[str], out: Path) -> tuple[float, int]:
    """Seconds and peak bytes of a process that writes ``out``, which is removed."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status != 0:
        raise SystemExit(f"{' '.join(command[:3])} ...: ended with {status}")
    out.unlink()
    return seconds, usage.ru_maxrss * 1024


if __name__ == "__main__":
    sys.exit(main())
