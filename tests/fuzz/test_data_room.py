"""Changed files of every kind that the data room reads, in child processes: one line of error, or a result.

``python tests/fuzz/test_data_room.py TIMES [SEED]`` tries as many changes of each kind as one has time for.
"""

import random
import resource
import struct
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from data_room import ROWS, Row

from vggrepro.errors import VggReproError

MEMORY = 4 << 30
TIMES = 150
SIZES = (0, 1, 70_000, 2**31, 2**32 - 1)


def changed(rng: random.Random, data: bytes) -> bytes:
    """Some bytes of a file flipped, set, cut, moved, doubled or put in."""
    result = bytearray(data)
    kinds: tuple[Callable[[int], None], ...] = (
        lambda at: result.__setitem__(at, result[at] ^ 1 << rng.randrange(8)),
        lambda at: result.__setitem__(at, rng.choice((0, 1, 127, 128, 255))),
        lambda at: result.__setitem__(
            slice(at, at + 4),
            struct.pack(rng.choice("<>") + "I", rng.choice(SIZES)),
        ),
        lambda at: result.__delitem__(slice(at, None)),
        lambda at: result.__delitem__(slice(at, at + rng.randrange(1, 64))),
        lambda at: result.__setitem__(slice(at, at + 16), result[rng.randrange(len(result)) :][:16]),
        lambda at: result.__setitem__(slice(at, at), rng.randbytes(rng.randrange(1, 9))),
    )
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        if result:
            rng.choice(kinds)(rng.randrange(min(len(result), rng.choice((64, 700, len(result))))))
    return bytes(result)


def fuzz(row: Row, times: int, seed: int) -> tuple[int, int]:
    """How many of ``times`` changed files were read, and how many were refused."""
    name, corpus, read = row
    rng, refused = random.Random(f"{name} {seed}"), 0
    for data in corpus:
        try:
            read(data)
        except VggReproError as error:
            raise AssertionError(f"{name}: a good file is refused: {error}") from error
    for _ in range(times):
        try:
            read(changed(rng, rng.choice(corpus)))
        except VggReproError as error:
            assert "\n" not in str(error)
            refused += 1
    return times - refused, refused


@pytest.mark.parametrize("place", range(len(ROWS)), ids=[row[0] for row in ROWS])
def test_changed_files(place):
    command = [sys.executable, __file__, str(TIMES), "0", str(place)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "refused" in done.stdout


def main(times: int, seed: int = 0, *places: int) -> None:
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for place in places or range(len(ROWS)):
        read, refused = fuzz(ROWS[place], times, seed)
        print(f"{ROWS[place][0]}: {read} read, {refused} refused", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
