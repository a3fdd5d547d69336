"""A solver definition: its file read, its numbers checked, its nets found."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vggrepro.caffe.state import filter_by_state, solver_net_state
from vggrepro.caffe.text import parse_solver, read_solver
from vggrepro.caffe.unknown_layers import PartlyKnownNet
from vggrepro.caffe.upgrade import upgrade_net_param, upgrade_solver_param
from vggrepro.data.feeds import is_read
from vggrepro.emit import Shape
from vggrepro.errors import SolverError, naming
from vggrepro.graph.update import RULES, Hyper
from vggrepro.layers.base import AnyLayer
from vggrepro.layers.input import Input
from vggrepro.net.fork_rules import BVLC, ForkRules
from vggrepro.net.kinds import fed_shapes, is_fork_data
from vggrepro.net.net import Net, build
from vggrepro.system.file_names import is_utf8
from vggrepro.training.average_precision import VERSIONS
from vggrepro.training.rates import POLICIES

EVAL_TYPES = ("classification", "detection")
"""What SSD's ``eval_type`` may be."""

TRAIN_FIELDS = ("net", "net_param", "train_net", "train_net_param")


@dataclass(frozen=True)
class Definition:
    """``param`` is the upgraded ``SolverParameter``, ``path`` its file."""

    param: Any
    path: Path
    rules: ForkRules = field(default_factory=ForkRules)
    """How the nets are read. Input shapes are those of the tops of data layers of forks, where their
    definitions do not tell them."""

    @property
    def folder(self) -> Path:
        return self.path.parent

    @property
    def snapshot_prefix(self) -> str:
        """Where snapshots go; without a prefix, the solver file's own name. (Of a prefix that is a folder
        :func:`read_definition` makes one in that folder.) Raises SolverError for a name that is no UTF-8."""
        return str(self.param.snapshot_prefix) or _checked_prefix(self.path.with_suffix(""), self.path)

    @property
    def hyper(self) -> Hyper:
        p = self.param
        return Hyper(p.momentum, p.momentum2, p.delta, p.rms_decay, p.regularization_type)

    def train_message(self) -> Any:
        """The ``NetParameter`` to train: in phase TRAIN, with ``train_state``, upgraded and filtered.

        Raises SolverError unless exactly one of net, net_param, train_net, train_net_param is given."""
        given = [f for f in TRAIN_FIELDS if self.param.HasField(f)]
        if len(given) != 1:
            rule = "must not contain more than one of these fields specifying a train_net"
            if not given:
                rule = "must specify a train net using one of these fields"
            raise SolverError(
                f"{self.path}: SolverParameter {rule}: {', '.join(TRAIN_FIELDS)};"
                f" got {', '.join(given) or 'none'}"
            )
        message = self._message(getattr(self.param, given[0]))
        state = solver_net_state("TRAIN", message, self.param.train_state)
        net = self._with_shapes(filter_by_state(message, state))
        unused = set(self.rules.input_shapes) - {t for p in net.layer if p.type == Input.type for t in p.top}
        if unused:
            raise SolverError(
                f"{self.path}: input shape of {min(unused)!r}: no Input, or data layer of a fork with shapes"
                " for all its tops, has it"
            )
        return net

    def test_messages(self) -> list[Any]:
        """The ``NetParameter`` of each net in phase TEST, in Caffe's order: test_net_param, test_net, then
        net or net_param for the test_iter that are left. Raises SolverError if their number does not fit
        test_iter."""
        p = self.param
        sources = [*p.test_net_param, *p.test_net]
        general = [getattr(p, f) for f in ("net_param", "net") if p.HasField(f)]
        sources += general * (len(p.test_iter) - len(sources))
        if len(sources) != len(p.test_iter):
            raise SolverError(
                f"{self.path}: test_iter must be specified for each test network:"
                f" {len(p.test_iter)} for {len(sources)} nets"
            )
        if p.test_state and len(p.test_state) != len(sources):
            raise SolverError(f"{self.path}: test_state must be unspecified or specified once per test net")
        if sources and p.test_interval <= 0:
            raise SolverError(
                f"{self.path}: test_interval must be positive with test_iter: {p.test_interval}"
            )
        states = p.test_state or [None] * len(sources)
        return [self._test_message(source, state) for source, state in zip(sources, states, strict=True)]

    def _test_message(self, source: Any, test_state: Any) -> Any:
        message = self._message(source)
        return self._with_shapes(filter_by_state(message, solver_net_state("TEST", message, test_state)))

    def _with_shapes(self, message: Any) -> Any:
        """The net with an Input layer for each data layer of a fork, or Input, all of whose tops have given
        shapes, and with what layers mean in the fork."""
        for layer in message.layer:
            if layer.type != Input.type and not is_fork_data(layer):
                continue
            if shapes := fed_shapes(layer, self.rules.input_shapes):
                layer.type = Input.type
                del layer.input_param.shape[:]
                for shape in shapes:
                    layer.input_param.shape.add().dim.extend(shape)
        return self.rules.with_defaults(message)

    def _message(self, source: Any) -> Any:
        """An upgraded ``NetParameter`` from a path or from a message in the solver."""
        if not isinstance(source, str):
            return upgrade_net_param(source, str(self.path))
        path = self.locate(source)
        return upgrade_net_param(self.rules.read(path).message, str(path))

    def own_layers(self, message: Any, phase: str) -> dict[str, AnyLayer]:
        """The layers of a net of :meth:`train_message` or :meth:`test_messages` that the catalogue does not
        make, by name. Raises NetError, ParseError."""
        rules = self.rules.for_net(message)
        if not rules.make_layers:
            return {}
        layers: dict[str, AnyLayer] = {}
        for written in self._written() or [PartlyKnownNet(message, {})]:
            layers.update(rules.layers(message, written, phase))
        return layers

    def check_read(self, message: Any) -> None:
        """Raise UnknownFieldError for fields that were left out of data layers whose data is to be read."""
        read = [layer for layer in message.layer if is_read(layer) and is_fork_data(layer)]
        for written in self._written() if read else ():
            with naming(str(self.path)):
                for layer in read:
                    written.check_whole(layer)

    def _written(self) -> list[PartlyKnownNet]:
        """The nets that the solver names, as they were written."""
        p = self.param
        names = dict.fromkeys(filter(None, (p.net, p.train_net, *p.test_net)))
        return [self.rules.read(self.locate(name)) for name in names]

    def net_of(
        self, message: Any, phase: str = "TRAIN", input_shapes: Mapping[str, Shape] | None = None
    ) -> Net:
        """A net of :meth:`train_message` or :meth:`test_messages`, without parameters. Raises what
        ``load_net`` raises."""
        return build(message, phase, input_shapes, self.own_layers(message, phase))

    def locate(self, name: str) -> Path:
        """A file that the solver names: from the working directory, else from the solver's folder."""
        return Path(name) if Path(name).exists() else self.folder / name


def read_definition(
    path: str | os.PathLike[str],
    settings: Sequence[Any] = (),
    rules: ForkRules = BVLC,
) -> Definition:
    """Read and check a solver prototxt. ``settings`` replace fields of it, one after the other: text as in
    the file (``max_iter: 1000``), or a ``SolverParameter`` that has these fields alone. ``rules`` are those
    for definitions of forks. Raises ParseError, SolverError."""
    source = Path(path)
    param = read_solver(source, allow_unknown=rules.allow_unknown)
    for setting in settings:
        given = parse_solver(setting, f"setting {setting!r}") if isinstance(setting, str) else setting
        for given_field, _ in given.ListFields():
            param.ClearField(given_field.name)  # a repeated field would be added to
        param.MergeFrom(given)
    param = upgrade_solver_param(param, str(source))
    if param.snapshot_prefix and Path(param.snapshot_prefix).is_dir():
        param.snapshot_prefix = _checked_prefix(Path(param.snapshot_prefix) / source.stem, source)
    _check(param, source)
    return Definition(param, source, rules)


def _checked_prefix(prefix: Path, source: Path) -> str:
    """A prefix that the solver's file ``source`` does not give itself. Solver states name weights by it, in
    UTF-8."""
    if not is_utf8(str(prefix)):
        raise SolverError(
            f"{source}: snapshots would be called {str(prefix)!r}, expected UTF-8: set snapshot_prefix"
        )
    return str(prefix)


def definition_by_rules(solver: str | os.PathLike[str] | Definition, rules: ForkRules) -> Definition:
    """The definition of a path, or what was read from one, with ``rules`` in place of its own unless they are
    those of BVLC Caffe's files. Raises what :func:`read_definition` raises."""
    if not isinstance(solver, Definition):
        return read_definition(solver, rules=rules)
    return solver if rules == BVLC else replace(solver, rules=rules)


def weight_names(text: str) -> list[str]:
    """The weight files that one string names: Caffe takes several with commas between them. Raises
    SolverError for an empty name."""
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise SolverError(f"weights {text!r}: an empty name, expected paths with commas between them")
    return names


def _check(param: Any, source: Path) -> None:
    """What Caffe's solvers check when they are made.

    DEVIATION: a learning rate policy that is not known is an error here; Caffe stops at the first update.
    """
    problems = [
        (
            param.type not in RULES,
            f"Unknown solver type: {param.type} (known types: {', '.join(RULES)})",
        ),
        (
            param.lr_policy not in POLICIES,
            f"Unknown learning rate policy: {param.lr_policy or '(none)'} (known: {', '.join(POLICIES)})",
        ),
        ("\0" in param.snapshot_prefix, f"snapshot_prefix {param.snapshot_prefix!r} has a NUL character"),
        (param.iter_size < 1, f"iter_size must be at least 1, got {param.iter_size}"),
        (param.average_loss < 1, f"average_loss should be non-negative. Got {param.average_loss}"),
        (
            param.regularization_type not in ("L1", "L2"),
            f"Unknown regularization type: {param.regularization_type}",
        ),
        (
            param.type in ("AdaGrad", "RMSProp") and param.momentum != 0,
            f"Momentum cannot be used with {param.type}.",
        ),
        (
            param.type == "RMSProp" and not 0 <= param.rms_decay < 1,
            f"rms_decay should lie between 0 and 1, got {param.rms_decay}",
        ),
        (
            param.test_iter and param.eval_type not in EVAL_TYPES,
            f"Unknown evaluation type: {param.eval_type} (known types: {', '.join(EVAL_TYPES)})",
        ),
        (
            param.test_iter and param.eval_type == "detection" and param.ap_version not in VERSIONS,
            f"Unknown ap_version: {param.ap_version} (known: {', '.join(VERSIONS)})",
        ),
        (param.snapshot_diff, "snapshot_diff is not supported: gradients are not kept in snapshots"),
    ]
    for failed, text in problems:
        if failed:
            raise SolverError(f"{source}: {text}")
