"""A solver definition: its file read, its numbers checked, its nets found."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vggrepro.caffe.state import filter_by_state, solver_net_state
from vggrepro.caffe.text import read_net, read_solver
from vggrepro.caffe.upgrade import upgrade_net_param, upgrade_solver_param
from vggrepro.emit import Shape
from vggrepro.errors import SolverError
from vggrepro.graph.update import RULES, Hyper
from vggrepro.net import Net, build_net
from vggrepro.training.rates import POLICIES

TRAIN_FIELDS = ("net", "net_param", "train_net", "train_net_param")


@dataclass(frozen=True)
class Definition:
    """``param`` is the upgraded ``SolverParameter``, ``path`` its file."""

    param: Any
    path: Path

    @property
    def folder(self) -> Path:
        return self.path.parent

    @property
    def snapshot_prefix(self) -> str:
        """Where snapshots go; without a prefix, the solver file's own name."""
        return str(self.param.snapshot_prefix) or str(self.path.with_suffix(""))

    @property
    def hyper(self) -> Hyper:
        p = self.param
        return Hyper(p.momentum, p.momentum2, p.delta, p.rms_decay, p.regularization_type)

    def train_net(
        self, seed: int, weights: Sequence[str], input_shapes: Mapping[str, Shape] | None = None
    ) -> Net:
        """The net in phase TRAIN, with ``train_state``, filled or loaded.

        Raises SolverError unless exactly one of net, net_param, train_net, train_net_param is given."""
        given = [f for f in TRAIN_FIELDS if self.param.HasField(f)]
        if len(given) != 1:
            raise SolverError(
                f"{self.path}: SolverParameter must specify a train net using exactly one of these fields:"
                f" {', '.join(TRAIN_FIELDS)}; got {', '.join(given) or 'none'}"
            )
        message = self._message(getattr(self.param, given[0]))
        state = solver_net_state("TRAIN", message, self.param.train_state)
        return self._build(message, state, "TRAIN", seed, weights, input_shapes)

    def test_nets(self, seed: int) -> list[Net]:
        """The nets in phase TEST, in Caffe's order: test_net_param, test_net, then net or net_param for
        the test_iter that are left. Raises SolverError if their number does not fit test_iter."""
        p = self.param
        sources = [*p.test_net_param, *p.test_net]
        general = [getattr(p, f) for f in ("net_param", "net") if p.HasField(f)]
        sources += general * (len(p.test_iter) - len(sources))
        if len(sources) != len(p.test_iter):
            raise SolverError(f"{self.path}: test_iter must be specified for each test network: {len(p.test_iter)} for {len(sources)} nets")
        if p.test_state and len(p.test_state) != len(sources):
            raise SolverError(f"{self.path}: test_state must be unspecified or specified once per test net")
        nets = []
        for index, source in enumerate(sources):
            message = self._message(source)
            state = solver_net_state("TEST", message, p.test_state[index] if p.test_state else None)
            nets.append(self._build(message, state, "TEST", seed, (), None))
        return nets

    def _message(self, source: Any) -> Any:
        """An upgraded ``NetParameter`` from a path or from a message in the solver."""
        if not isinstance(source, str):
            return upgrade_net_param(source, str(self.path))
        path = self.locate(source)
        return upgrade_net_param(read_net(path), str(path))

    def locate(self, name: str) -> Path:
        """A file that the solver names: from the working directory, else from the solver's folder."""
        return Path(name) if Path(name).exists() else self.folder / name

    def _build(
        self, message: Any, state: Any, phase: str, seed: int, weights: Sequence[str], shapes: Mapping[str, Shape] | None
    ) -> Net:
        filtered = filter_by_state(message, state)
        return build_net(filtered, phase, input_shapes=shapes, folder=self.folder, seed=seed, weights=list(weights))


def read_definition(path: str | os.PathLike[str]) -> Definition:
    """Read and check a solver prototxt. Raises ParseError, SolverError."""
    source = Path(path)
    param = upgrade_solver_param(read_solver(source), str(source))
    _check(param, source)
    return Definition(param, source)


def _check(param: Any, source: Path) -> None:
    """What Caffe's solvers check when they are made."""
    problems = [
        (param.type not in RULES, f"Unknown solver type: {param.type} (known types: {', '.join(RULES)})"),
        (param.lr_policy not in POLICIES, f"Unknown learning rate policy: {param.lr_policy!r} (known: {', '.join(POLICIES)})"),
        (param.iter_size < 1, f"iter_size must be at least 1, got {param.iter_size}"),
        (
            param.regularization_type not in ("L1", "L2"),
            f"Unknown regularization type: {param.regularization_type}",
        ),
        (
            param.type in ("AdaGrad", "RMSProp") and param.momentum != 0,
            f"Momentum cannot be used with {param.type}.",
        ),
        (param.type == "RMSProp" and not 0 <= param.rms_decay < 1, f"rms_decay should lie between 0 and 1, got {param.rms_decay}"),
        (param.snapshot_diff, "snapshot_diff is not supported: gradients are not kept in snapshots"),
    ]
    for failed, text in problems:
        if failed:
            raise SolverError(f"{source}: {text}")
