"""What a run remembers beside Caffe's two snapshot files, so that it goes on as if it had not stopped.

Caffe's solver state holds the iteration, the steps of the rate, and the histories. The validation
accuracies, on which the paper's rate policy looks back, the seed of a run that was given none, and the
window of the displayed loss are kept here, as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from vggrepro.errors import SolverError
from vggrepro.system.atomic import replacing
from vggrepro.system.json_text import parsed_json
from vggrepro.training.rates import PLATEAU_DROPS, plateau_drops


@dataclass(frozen=True)
class RunRecord:
    """What a run has to remember."""

    seed: int
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the run's numbers depend on besides solver, net and seed, by name."""
    accuracies: tuple[tuple[int, float], ...] = ()
    """(iteration, accuracy) of every test of the first test net so far."""
    losses: tuple[float, ...] = ()
    """The losses of the last ``average_loss`` iterations."""
    drops_before: int = 0
    """How often the plateau policy had divided the rate before the first of ``accuracies``. Not 0 only in a
    run that goes on from a solver state without a record, as Caffe writes it: that state tells the number
    of drops and not the accuracies behind them."""
    checksums: Mapping[str, str] = field(default_factory=dict, compare=False)
    """SHA-256 of the snapshot's ``caffemodel`` and ``solverstate``; empty until both are written."""

    def tested(self, iteration: int) -> bool:
        """Whether the accuracy at an iteration is known."""
        return bool(self.accuracies) and self.accuracies[-1][0] == iteration

    def with_accuracy(self, iteration: int, accuracy: float) -> RunRecord:
        return replace(self, accuracies=(*self.accuracies, (iteration, accuracy)))

    def with_loss(self, loss: float, window: int) -> RunRecord:
        return replace(self, losses=(*self.losses, loss)[-window:])

    @property
    def smoothed_loss(self) -> float:
        """Caffe's displayed loss: the mean over the window."""
        return sum(self.losses) / len(self.losses)

    @property
    def best(self) -> tuple[int, float] | None:
        """The (iteration, accuracy) that no other exceeds, the first of equals."""
        return max(self.accuracies, key=lambda entry: (entry[1], -entry[0]), default=None)

    def drops(self, patience: int) -> int:
        """How often the plateau policy has divided the rate by now."""
        since = plateau_drops([accuracy for _, accuracy in self.accuracies], patience)
        return min(self.drops_before + since, PLATEAU_DROPS)


def write_record(path: Path, record: RunRecord) -> None:
    """Write the JSON file, at once or not at all."""
    with replacing(path) as file:
        file.write((json.dumps(asdict(record), indent=1) + "\n").encode())


def read_record(path: Path) -> RunRecord:
    """Read what :func:`write_record` wrote. Raises SolverError."""
    try:
        stored = parsed_json(path.read_text("utf-8"))
        return RunRecord(
            seed=int(stored["seed"]),
            facts=dict(stored["facts"]),
            accuracies=tuple((int(i), float(a)) for i, a in stored["accuracies"]),
            losses=tuple(float(loss) for loss in stored["losses"]),
            drops_before=int(stored["drops_before"]),
            checksums={str(kind): str(digest) for kind, digest in stored.get("checksums", {}).items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise SolverError(f"{path}: not a training record: {type(error).__name__}: {error}") from error


def facts_changed(stored: RunRecord, facts: Mapping[str, Any]) -> list[str]:
    """What a resumed run reads differently than the run before it, as ``name: was, is``."""
    return [
        f"{name}: {stored.facts[name]!r} before, {value!r} now"
        for name, value in facts.items()
        if name in stored.facts and stored.facts[name] != value
    ]
