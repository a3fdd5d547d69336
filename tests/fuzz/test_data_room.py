"""The data room on damaged files of every kind that it reads: it accepts, or it raises one line of ours.

They run in a child process, which what crashes in OpenCV would end.
"""

import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest
from fuzz.data_room import TARGETS
from fuzz.engine import damaged, run

INPUTS = 150
SPACE = 64 << 20
TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize("place", range(len(TARGETS)), ids=[target.name for target in TARGETS])
def test_a_damaged_file_is_read_or_refused(place, tmp_path):
    code = f"import sys; sys.path.insert(0, {str(TESTS)!r}); from fuzz import test_data_room as t; "
    code += f"t.check({place}, {str(tmp_path)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def check(place: int, folder: str) -> None:
    target = TARGETS[place]
    good = len(target.files())
    report = run(target, islice(damaged(target, seed=1), good + INPUTS), Path(folder))
    assert not report.crashes, report.crashes[0][1]
    assert good <= report.accepted <= report.inputs == good + INPUTS
    assert report.peak[0] < SPACE
