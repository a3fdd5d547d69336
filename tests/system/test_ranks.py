"""One process alone, and several that MPI started."""

import subprocess
import sys

import numpy as np
import pytest
from mpi_launcher import mpirun, needs_mpi

from vggrepro.errors import DeviceError
from vggrepro.system import ranks
from vggrepro.system.ranks import Alone, find_ranks

BODY = """
import sys
import numpy as np
from vggrepro.system.ranks import find_ranks
ranks = find_ranks()
values = np.arange(3, dtype=np.float32) + 10 * ranks.rank
ranks.add_up(values)
later = np.full(2, 1.0 + ranks.rank)
ranks.begin_add_up(later)()
first = np.full(2, ranks.rank)
ranks.copy_first(first)
ranks.barrier()
heard = ranks.broadcast({"rank": ranks.rank})
assert values.tolist() == [10.0, 12.0, 14.0], values
assert later.tolist() == [3.0, 3.0], later
assert first.tolist() == [0, 0], first
assert heard == {"rank": 0}, heard
assert ranks.local_rank == ranks.rank
sys.stdout.write(f"rank {ranks.rank} of {ranks.size}\\n")
"""


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    for name in ranks._LAUNCHED:
        monkeypatch.delenv(name, raising=False)


def test_without_a_launcher_a_process_is_alone():
    alone = find_ranks()
    assert alone == Alone()
    assert (alone.rank, alone.size, alone.local_rank) == (0, 1, 0)
    values = np.arange(3.0)
    alone.add_up(values)
    alone.begin_add_up(values)()
    alone.copy_first(values)
    alone.barrier()
    assert values.tolist() == [0, 1, 2]
    assert alone.broadcast("x") == "x"


@pytest.mark.parametrize("name", ranks._LAUNCHED)
def test_a_launched_process_without_mpi4py_is_an_error(monkeypatch, name):
    monkeypatch.setenv(name, "2")
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(DeviceError, match=r"started by mpirun.*pip install 'vggrepro\[mpi\]'"):
        find_ranks()


@needs_mpi
def test_two_ranks_add_copy_and_tell():
    command = [mpirun(), "-n", "2", sys.executable, "-c", BODY]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["rank 0 of 2", "rank 1 of 2"]
