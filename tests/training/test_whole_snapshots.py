"""Whether a snapshot is whole. (How a command meets one that is not: tests/cli/test_train_interrupted.py.)"""

from __future__ import annotations

from pathlib import Path

import pytest
from database_run import BODY, DATA, LOSS, write_run

from vggrepro.errors import SolverError
from vggrepro.training import snapshots
from vggrepro.training.run_record import RunRecord, write_record
from vggrepro.training.solver import Solver
from vggrepro.training.whole_snapshots import check_whole, checksums


@pytest.fixture
def solver(tmp_path: Path) -> Solver:
    path = write_run(tmp_path, DATA + BODY + LOSS, snapshot_prefix=f'"{tmp_path / "run"}"')
    return Solver(path, threads=1, input_shapes={"data": (8, 3, 9, 9), "label": (8,)})


def test_caffes_snapshots_have_no_record_and_are_read(solver: Solver) -> None:
    model, state = solver.snapshot()
    prefix = solver.definition.snapshot_prefix
    check_whole(state, prefix)
    model.write_bytes(model.read_bytes()[:-1])
    with pytest.raises(SolverError, match=r"run_iter_0\.caffemodel: .*; no other snapshot is whole"):
        check_whole(state, prefix)


def test_every_byte_counts_where_there_is_a_record(solver: Solver) -> None:
    _, state = solver.snapshot()
    files = snapshots.paths(solver.definition, 0)
    write_record(files.record, RunRecord(1, checksums=checksums(files)))
    check_whole(state, solver.definition.snapshot_prefix)
    for path in (files.model, files.state):
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(SolverError, match=rf"{path.name}: damaged: not the file .* in run_iter_0\.json"):
            check_whole(state, solver.definition.snapshot_prefix)
        path.write_bytes(whole)


def test_a_snapshot_that_was_moved(solver: Solver, tmp_path: Path) -> None:
    """The state still names the old weight file, which by now may be another one."""
    _, state = solver.snapshot()
    files = snapshots.paths(solver.definition, 0)
    write_record(files.record, RunRecord(1, checksums=checksums(files)))
    (tmp_path / "moved").mkdir()
    for path in files.all:
        path.rename(tmp_path / "moved" / path.name)
    check_whole(tmp_path / "moved" / state.name, str(tmp_path / "moved" / "run"))
