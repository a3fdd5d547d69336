"""Kill commands and fill their disk, run them again, and count wrong files, wrong numbers and strays.

python benchmarks/fault_injection.py --minutes 6 [--trials N] [--seed N]

Kills come at random moments and at random system calls; disks get full by failing calls (short writes,
ENOSPC, EIO), by the largest size of a file (RLIMIT_FSIZE) and, for root on Linux, on a small tmpfs.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
os.environ.setdefault("OMP_NUM_THREADS", "1")

from faults.cases import cases, write_inputs
from faults.engine import Case, Ended, Tally, contents, random_fault, run, trial


@dataclass(frozen=True)
class Undisturbed:
    """What a command writes, the system calls that it makes, its seconds, and its largest file."""

    expected: dict[str, str]
    calls: int
    seconds: float
    largest: int
    total: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1, help="for all trials together (default: 1)")
    parser.add_argument("--trials", type=int, metavar="N", help="at most so many (default: any number)")
    parser.add_argument("--seed", type=int, default=0, help="which moments (default: 0)")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    kills: dict[str, Tally] = {}
    disks: dict[str, Tally] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(folder)
        chosen = [(case, undisturbed(case, folder)) for case in cases(folder)]
        until = time.monotonic() + 60 * arguments.minutes
        number = 0
        while time.monotonic() < until and (arguments.trials is None or number < arguments.trials):
            case, usual = chosen[number % len(chosen)]
            full = number // len(chosen) % 4 == 1
            tally = (disks if full else kills).setdefault(case.name, Tally())
            one(case, usual, folder / f"trial{number}", tally, (full_disk if full else killed), rng)
            number += 1
    return report({"killed": kills, "full disk": disks})


def undisturbed(case: Case, folder: Path) -> Undisturbed:
    place = folder / f"usual {case.name}"
    place.mkdir()
    began = time.monotonic()
    ended = run(case, place)
    if ended.code:
        raise SystemExit(f"{case.name}: {ended.code}: {ended.said}")
    sizes = [path.stat().st_size for path in place.rglob("*") if path.is_file()]
    return Undisturbed(contents(place), ended.calls, time.monotonic() - began, max(sizes), sum(sizes))


Disturb = Callable[[Case, Undisturbed, Path, random.Random], Ended]


def one(
    case: Case, usual: Undisturbed, place: Path, tally: Tally, disturb: Disturb, rng: random.Random
) -> None:
    """A trial in a folder of its own; in a third of them an undisturbed run has been there before."""
    place.mkdir()
    if rng.random() < 1 / 3 and case.name != "train":
        run(case, place)
    try:
        trial(case, place, usual.expected, tally, lambda: disturb(case, usual, place, rng))
    finally:
        with suppress(OSError, subprocess.CalledProcessError):
            if os.path.ismount(place):
                subprocess.run(["umount", str(place)], check=True)
        shutil.rmtree(place, ignore_errors=True)


def killed(case: Case, usual: Undisturbed, place: Path, rng: random.Random) -> Ended:
    if rng.random() < 0.5:
        return run(case, place, kill_after=rng.uniform(0.02, usual.seconds))
    return run(case, place, random_fault(rng, usual.calls, ("kill",)))


def full_disk(case: Case, usual: Undisturbed, place: Path, rng: random.Random) -> Ended:
    way = rng.random()
    if way < 0.4 and not any(place.iterdir()) and mounted(place, rng.randint(4096, max(usual.total, 8192))):
        ended = run(case, place)
        subprocess.run(["mount", "-o", "remount,size=64m", str(place)], check=True)
        return ended
    if way < 0.6:
        return run(case, place, largest=rng.randint(1, usual.largest))
    return run(case, place, random_fault(rng, usual.calls, ("short", "full", "eio")))


def mounted(place: Path, size: int) -> bool:
    """Mount a tmpfs of ``size`` bytes; whether this user may."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "faults", str(place)]
    return sys.platform == "linux" and not subprocess.run(command, capture_output=True).returncode


def report(tallies: dict[str, dict[str, Tally]]) -> int:
    wrong = [text for cases_ in tallies.values() for tally in cases_.values() for text in tally.wrong]
    print(f"{'':12} {'command':14} {'trials':>7} {'struck':>7} {'wrong':>6}")
    for kind, cases_ in tallies.items():
        for name, tally in cases_.items():
            print(f"{kind:12} {name:14} {tally.trials:7} {tally.struck:7} {len(tally.wrong):6}")
        trials, struck = (sum(getattr(t, n) for t in cases_.values()) for n in ("trials", "struck"))
        print(
            f"{kind:12} {'together':14} {trials:7} {struck:7} {sum(len(t.wrong) for t in cases_.values()):6}"
        )
    for text in wrong[:20]:
        print(f"  {text}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
