"""Freed memory goes back to the operating system, or stays."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from vggrepro.system import freed_memory
from vggrepro.system.freed_memory import give_back

CODE = """
from pathlib import Path
from vggrepro.system.freed_memory import give_back

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])

blocks = [bytes(100_000) for _ in range(500)]
del blocks[:-1]  # the last one lies behind what is freed
before = resident()
give_back()
print(before - resident(), len(blocks[0]))
"""

IN_A_THREAD = """
from resource import RUSAGE_SELF, getrusage
from threading import Thread
from vggrepro.system.freed_memory import keep

def pictures():
    global faults
    for number in range(101):
        if number == 1:
            before = getrusage(RUSAGE_SELF).ru_minflt
        del (pieces := [bytearray(600_000) for _ in range(3)])[:]
    faults = getrusage(RUSAGE_SELF).ru_minflt - before

keep()
thread = Thread(target=pictures)
thread.start()
thread.join()
print(faults)
"""
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the heap of glibc")


def test_memory_in_use_stays() -> None:
    array = bytearray(b"x" * 10_000_000)
    give_back()
    assert array.count(b"x") == 10_000_000


@linux
def test_free_pages_are_no_longer_resident() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    pages, length = map(int, done.stdout.split())
    assert length == 100_000
    assert pages * 4096 > 20_000_000


@linux
@pytest.mark.parametrize(("variable", "kept"), [("", True), ("MALLOC_TRIM_THRESHOLD_", False)])
def test_memory_that_is_kept_is_not_zeroed_again(variable: str, kept: bool) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in freed_memory._VARIABLES}
    if variable:
        environment[variable] = "131072"
    done = subprocess.run(
        [sys.executable, "-c", IN_A_THREAD], capture_output=True, text=True, check=True, env=environment
    )
    assert (int(done.stdout) < 1000) == kept
