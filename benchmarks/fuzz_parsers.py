"""Fuzz the parsers for a while: damaged files, what they raised, the slowest one, the peak of memory.

python benchmarks/fuzz_parsers.py --minutes 10 [--seed N] [--target NAME ...] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from fuzz import data_room, targets
from fuzz.engine import Report, damaged, run

TARGETS = (*targets.TARGETS, *data_room.TARGETS)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1, help="for all targets together (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="which damage (default: 0)")
    parser.add_argument("--target", action="append", choices=[t.name for t in TARGETS], help="only this one")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="write crashing, slowest and largest files"
    )
    arguments = parser.parse_args()
    chosen = [t for t in TARGETS if not arguments.target or t.name in arguments.target]
    crashes = 0
    print(f"{'target':20} {'inputs':>8} {'accepted':>8} {'crashes':>8} {'slowest s':>10} {'peak MB':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for target in chosen:
            until = time.monotonic() + 60 * arguments.minutes / len(chosen)
            report = run(target, damaged(target, arguments.seed), Path(folder), until=until)
            print(
                f"{target.name:20} {report.inputs:8} {report.accepted:8} {len(report.crashes):8}"
                f" {report.slowest[0]:10.3f} {report.peak[0] / 1e6:8.1f}",
                flush=True,
            )
            crashes += len(report.crashes)
            for _, error in report.crashes[:3]:
                print(f"  {type(error).__name__}: {str(error)[:200]}")
            if arguments.keep:
                keep(report, arguments.keep)
    return 1 if crashes else 0


def keep(report: Report, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    name = report.target.name.replace(" ", "_")
    (folder / f"{name}.slowest").write_bytes(report.slowest[1])
    (folder / f"{name}.largest").write_bytes(report.peak[1])
    for index, (data, _) in enumerate(report.crashes[:20]):
        (folder / f"{name}.crash{index}").write_bytes(data)


if __name__ == "__main__":
    sys.exit(main())
