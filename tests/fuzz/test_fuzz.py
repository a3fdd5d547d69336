"""Every parser on damaged files: it accepts, or it raises what it may, and takes memory in proportion.

``python benchmarks/fuzz_parsers.py --minutes N`` does the same for longer.
"""

from itertools import islice

import numpy as np
import pytest
from fuzz.engine import damaged, run
from fuzz.mutation import mutate
from fuzz.targets import TARGETS, Target

from vggrepro.errors import ParseError

INPUTS = 120
SPACE = 64 << 20


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_damaged_file_is_read_or_refused(target, tmp_path):
    good = len(target.files())
    report = run(target, islice(damaged(target, seed=1), good + INPUTS), tmp_path)
    assert not report.crashes, report.crashes[0][1]
    assert report.inputs == good + INPUTS
    assert 0 < report.accepted <= report.inputs
    assert report.peak[0] < SPACE + 200 * len(report.peak[1])


def test_the_engine_finds_what_a_parser_may_not_raise(tmp_path):
    def parse(path):
        if b"x" in path.read_bytes():
            raise KeyError("x")
        if b"y" in path.read_bytes():
            raise ParseError("two\nlines")
        if b"z" in path.read_bytes():
            raise ParseError("fine")
        bytearray(1_000_000)

    report = run(Target("t", (), parse), [b"a", b"x", b"z", b"y"], tmp_path)
    assert [data for data, _ in report.crashes] == [b"x", b"y"]
    assert (report.inputs, report.accepted) == (4, 1)
    assert report.peak[0] >= 1_000_000
    assert report.peak[1] == b"a"
    assert report.slowest[0] > 0


def test_the_same_seed_gives_the_same_files():
    target = TARGETS[0]
    one, same, other = (list(islice(damaged(target, seed), 200))[-50:] for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_mutations_change_bytes_and_take_any_file():
    rng = np.random.default_rng(0)
    data = bytes(range(256))
    changed = [mutate(data, rng, [data, b"other"], [b"word"]) for _ in range(200)]
    assert sum(one != data for one in changed) > 190
    assert any(b"word" in one for one in changed)
    for _ in range(200):
        mutate(b"", rng, [b""], [b"word"])
