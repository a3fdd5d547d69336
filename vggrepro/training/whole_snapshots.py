"""Whether a snapshot is whole: its files are there, can be read, and are those that were written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vggrepro.caffe.snapshot import read_solverstate
from vggrepro.caffe.weights import read_weights
from vggrepro.errors import SolverError, VggReproError
from vggrepro.system.file_digest import file_sha256
from vggrepro.training.run_record import read_record
from vggrepro.training.snapshots import Paths, existing, record_beside, weight_file_of

MODEL, STATE = "caffemodel", "solverstate"


def checksums(files: Paths) -> dict[str, str]:
    """SHA-256 of a snapshot's two files of Caffe's, for its record."""
    return {MODEL: file_sha256(files.model), STATE: file_sha256(files.state)}


def check_whole(state: Path, prefix: str) -> None:
    """Raise SolverError unless the snapshot of a solver state is whole; the message names the damaged file
    and the newest other snapshot of ``prefix`` that is whole."""
    problem = _problem(state)
    if problem is None:
        return
    others = (other for other in reversed(existing(prefix).values()) if other != state)
    whole = next((other for other in others if _problem(other) is None), None)
    offer = "no other snapshot is whole" if whole is None else f"the newest whole one: --resume {whole}"
    raise SolverError(f"{problem}; {offer}")


def _problem(state: Path) -> str | None:
    """What is wrong with a snapshot, or None. Caffe's own have no record, so theirs are read alone."""
    record = record_beside(state)
    try:
        known = read_record(record).checksums if record.exists() else {}
        _check(state, STATE, known, record)
        learned_net = read_solverstate(state).learned_net
        if learned_net:
            model = weight_file_of(state, learned_net)
            _check(model, MODEL, known, record)
            read_weights(model)
    except VggReproError as error:
        return str(error)
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    return None


def _check(path: Path, kind: str, known: Mapping[str, str], record: Path) -> None:
    if kind in known and file_sha256(path) != known[kind]:
        raise SolverError(f"{path}: damaged: not the file whose SHA-256 is in {record.name}")
