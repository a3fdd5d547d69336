"""Freed memory goes back to the operating system."""

from __future__ import annotations

import subprocess
import sys

import pytest

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


def test_memory_in_use_stays() -> None:
    array = bytearray(b"x" * 10_000_000)
    give_back()
    assert array.count(b"x") == 10_000_000


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the heap of glibc")
def test_free_pages_are_no_longer_resident() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    pages, length = map(int, done.stdout.split())
    assert length == 100_000
    assert pages * 4096 > 20_000_000
