"""Snapshots: Caffe's two files, what a run remembers beside them, and which of them are kept."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vggrepro.caffe.blob import SavedBlob
from vggrepro.caffe.snapshot import (
    SavedState,
    read_solverstate,
    write_solverstate,
    write_solverstate_hdf5,
)
from vggrepro.caffe.weights import read_weights
from vggrepro.errors import SolverError, WeightsError
from vggrepro.net import Net
from vggrepro.net.load import match_weights
from vggrepro.net.save import write_weights
from vggrepro.system.atomic import remove_leftovers
from vggrepro.system.lock import locked
from vggrepro.training.definition import Definition
from vggrepro.training.run_record import read_record
from vggrepro.training.solver_arrays import Floats, SolverArrays


@dataclass(frozen=True)
class Paths:
    """The files of one snapshot: weights, solver state, and ``record``, what only the training loop knows."""

    model: Path
    state: Path
    record: Path

    @property
    def all(self) -> tuple[Path, Path, Path]:
        """In the order in which they are removed: what a resume looks for goes first."""
        return self.state, self.record, self.model


def paths(definition: Definition, iteration: int) -> Paths:
    """``<prefix>_iter_<n>`` .caffemodel and .solverstate, with .h5 for HDF5, and .json."""
    stem = f"{definition.snapshot_prefix}_iter_{iteration}"
    h5 = ".h5" if definition.param.snapshot_format == type(definition.param).HDF5 else ""
    return Paths(Path(f"{stem}.caffemodel{h5}"), Path(f"{stem}.solverstate{h5}"), Path(f"{stem}.json"))


def write(files: Paths, net: Net, arrays: SolverArrays, iteration: int, current_step: int) -> None:
    """Write Caffe's two files, the state last: it stands for a complete snapshot."""
    write_model(files, net, arrays)
    write_state(files, arrays, iteration, current_step)


def write_model(files: Paths, net: Net, arrays: SolverArrays) -> None:
    """Write the weights."""
    write_weights(files.model, net, arrays.read(arrays.values))


def write_state(files: Paths, arrays: SolverArrays, iteration: int, current_step: int) -> None:
    """Write the solver state, which names the weights."""
    histories = [array for history in arrays.histories for array in arrays.read(history).values()]
    saved = SavedState(iteration, str(files.model), current_step, tuple(histories))
    (write_solverstate_hdf5 if files.state.suffix == ".h5" else write_solverstate)(files.state, saved)


@dataclass(frozen=True)
class Restored:
    """A solver state with its histories by parameter, one mapping for each history that the solver keeps."""

    iteration: int
    current_step: int
    learned_net: str | None
    histories: tuple[Mapping[str, Floats], ...]


def read(path: Path, arrays: SolverArrays) -> Restored:
    """Read a .solverstate that fits ``arrays``. Raises SolverError if it does not, ParseError."""
    saved = read_solverstate(path)
    shapes = arrays.layout.shapes
    if len(saved.history) != len(arrays.histories) * len(shapes):
        raise SolverError(
            f"{path}: Incorrect length of history blobs: {len(saved.history)},"
            f" expected {len(arrays.histories) * len(shapes)}"
        )
    histories: list[dict[str, Floats]] = []
    for index in range(len(arrays.histories)):
        stored = saved.history[index * len(shapes) : (index + 1) * len(shapes)]
        histories.append({})
        for (key, shape), array in zip(shapes.items(), stored, strict=True):
            if not SavedBlob(array, legacy=True).fits(shape):  # states of 2014 have ones in front
                raise SolverError(f"{path}: history of {key} has shape {array.shape}, expected {shape}")
            histories[-1][key] = array.reshape(shape)
    return Restored(saved.iter, saved.current_step, saved.learned_net, tuple(histories))


def weight_file_of(state: Path, learned_net: str) -> Path:
    """The weight file of a state: where it says, else in the state's own folder."""
    named = Path(learned_net)
    return named if named.exists() else state.parent / named.name


def weights_of(
    net: Net, path: str | os.PathLike[str], layers: Sequence[str] | None = None
) -> dict[str, Floats]:
    """The parameters of a weight file that belong to ``net``, all or those of ``layers``, by owner's key.

    Raises WeightsError for shapes that do not fit, and if the file or the net lacks one of ``layers``.
    """
    saved = read_weights(path)
    if layers is not None:
        saved = tuple(layer for layer in saved if layer.name in layers)
        for where, names in (
            (os.fspath(path), {layer.name for layer in saved}),
            (f"net {net.name!r}", {net_layer.name for net_layer in net.layers}),
        ):
            missing = [name for name in layers if name not in names]
            if missing:
                raise WeightsError(f"{where}: no layer {', '.join(missing)} to copy weights of")
    return match_weights(net, saved, os.fspath(path))


def existing(prefix: str, *, last: int | None = None) -> dict[int, Path]:
    """Solver states of a prefix by iteration, ascending; only those up to iteration ``last``."""
    name = re.compile(re.escape(Path(prefix).name) + r"_iter_(\d+)\.solverstate(\.h5)?")
    folder = Path(prefix).parent
    found = {}
    for path in folder.iterdir() if folder.is_dir() else ():
        match = name.fullmatch(path.name)
        if match and (last is None or int(match.group(1)) <= last):
            found[int(match.group(1))] = path
    return dict(sorted(found.items()))


def surplus(iterations: Iterable[int], keep: int, best: int | None) -> list[int]:
    """Which snapshots to remove: all but the last ``keep`` (0: none is) and the best."""
    ordered = sorted(iterations)
    return [i for i in ordered[:-keep] if i != best] if keep else []


def writes(prefix: str, name: str) -> bool:
    """Whether a run with this snapshot prefix writes a file of this name, of which the first 100 bytes are
    given."""
    stem = f"{Path(prefix).name}_iter_"
    if len(os.fsencode(name)) > 96 and (stem.startswith(name) or name.startswith(stem)):
        return True
    return re.fullmatch(re.escape(stem) + r"\d+\.(caffemodel|solverstate|json)(\.h5)?", name) is not None


def record_beside(state: Path) -> Path:
    """The record of a solver state: ``<prefix>_iter_<n>.json``."""
    name = state.name.removesuffix(".h5").removesuffix(".solverstate")
    return state.with_name(f"{name}.json")


@contextmanager
def sole_run(prefix: str) -> Iterator[None]:
    """Within the block no other run writes snapshots of ``prefix``: a lock file ``<prefix>.lock`` keeps them
    off. What a killed run left half-written is removed. Raises LockError, OSError."""
    folder = Path(prefix).parent
    folder.mkdir(parents=True, exist_ok=True)
    with locked(Path(f"{prefix}.lock"), f"the snapshot prefix {prefix}"):
        remove_leftovers(folder, lambda name: writes(prefix, name))
        yield


def describe_kept(prefix: str) -> str:
    """One clause for a run that was stopped: its newest snapshot, the best one if that is another, and how
    to go on."""
    found = existing(prefix)
    if not found:
        return "there is no snapshot yet: the same command begins anew"
    newest = list(found.values())[-1]
    beside = record_beside(newest)
    best = read_record(beside).best if beside.exists() else None
    kept = f"kept {newest}"
    if best is not None and best[0] in found and found[best[0]] != newest:
        kept += f" and {found[best[0]]}, the best with {best[1]:.5g}"
    return f"{kept}: the same command with --resume goes on"


def latest(prefix: str) -> Path | None:
    """The newest solver state of a prefix."""
    found = existing(prefix)
    return list(found.values())[-1] if found else None
