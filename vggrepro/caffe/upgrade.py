"""Bringing old definitions to the newest format of Caffe, as its own tools do (``upgrade_proto``).

The order is Caffe's: V0 to V1, data transforms, V1 to today's, ``input`` fields to an Input layer,
and BatchNorm layers that declare three parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.message import Message

from vggrepro.caffe.messages import LayerParameter, NetParameter, SolverParameter
from vggrepro.caffe.text import format_message, parse_net, parse_solver
from vggrepro.caffe.upgrade_v0 import needs_v0_upgrade, upgrade_v0_net
from vggrepro.caffe.upgrade_v1 import (
    needs_data_upgrade,
    needs_v1_upgrade,
    upgrade_data_transforms,
    upgrade_v1_net,
)
from vggrepro.errors import UpgradeError
from vggrepro.system.caller_warning import warn_caller

_SOLVER_TYPES = {
    "SGD": "SGD",
    "NESTEROV": "Nesterov",
    "ADAGRAD": "AdaGrad",
    "RMSPROP": "RMSProp",
    "ADADELTA": "AdaDelta",
    "ADAM": "Adam",
}


_Definition = TypeVar("_Definition", bound=Message)


@dataclass(frozen=True)
class Upgraded(Generic[_Definition]):
    """A definition in the newest format, and how it came about."""

    message: _Definition
    """The upgraded ``NetParameter`` or ``SolverParameter``; never the one that was given."""
    steps: tuple[str, ...] = ()
    """What was deprecated, in the order of upgrading; empty if the format was the newest."""
    problems: tuple[str, ...] = ()
    """What could not be carried over, for Caffe's "upgraded with problems"."""


def upgrade_net(text: str, *, allow_unknown: bool = False) -> str:
    """A net definition in text, brought to the newest format as by Caffe's ``upgrade_net_proto_text``.

    ``allow_unknown`` leaves out fields that Caffe does not know and on which no number depends. What could
    not be carried over ("upgraded with problems") is warned of. Raises ParseError, and UpgradeError where
    Caffe's tool stops.
    """
    return _written(upgrade_net_report(parse_net(text, allow_unknown=allow_unknown)))


def upgrade_solver(text: str, *, allow_unknown: bool = False) -> str:
    """A solver definition in text, brought to the newest format. ``allow_unknown`` is that of
    :func:`upgrade_net`. Raises ParseError, UpgradeError."""
    return _written(upgrade_solver_report(parse_solver(text, allow_unknown=allow_unknown)))


def _written(result: Upgraded[_Definition]) -> str:
    for problem in result.problems:
        warn_caller(problem)
    return format_message(result.message)


def upgrade_net_param(
    net: NetParameter, source: str = "<string>", input_shapes: Mapping[str, Sequence[int]] | None = None
) -> NetParameter:
    """A ``NetParameter`` in the newest format; ``net`` itself is not changed.

    ``input_shapes`` gives sizes to ``input`` fields that have none in the definition.

    Raises UpgradeError where Caffe stops. DEVIATION: also where it goes on "with problems": a net whose
    parameters are partly lost is not the net that was meant, and must not be run.
    """
    return _complete(upgrade_net_report(net, source, input_shapes), source)


def upgrade_solver_param(solver: SolverParameter, source: str = "<string>") -> SolverParameter:
    """A ``SolverParameter`` in the newest format; ``solver`` itself is not changed. Raises UpgradeError."""
    return _complete(upgrade_solver_report(solver, source), source)


def _complete(result: Upgraded[_Definition], source: str) -> _Definition:
    if result.problems:
        raise UpgradeError(f"{source}: {'; '.join(result.problems)}")
    return result.message


def upgrade_net_report(
    old: NetParameter, source: str = "<string>", input_shapes: Mapping[str, Sequence[int]] | None = None
) -> Upgraded[NetParameter]:
    """Upgrade a ``NetParameter`` as far as Caffe does, problems reported beside the result.

    Raises UpgradeError where Caffe's tool stops.
    """
    net = NetParameter()
    net.CopyFrom(old)
    steps: list[str] = []
    problems: tuple[str, ...] = ()
    try:
        if needs_v0_upgrade(net):
            steps.append("V0LayerParameter")
            net, problems = upgrade_v0_net(net)
        if needs_data_upgrade(net):
            steps.append("transformation parameters")
            net = upgrade_data_transforms(net)
        if needs_v1_upgrade(net):
            steps.append("V1LayerParameter")
            net = upgrade_v1_net(net)
        if net.input:
            steps.append("input fields")
            net = _upgrade_inputs(net, input_shapes or {})
        if any(map(_is_old_batch_norm, net.layer)):
            steps.append("batch norm params")
            _upgrade_batch_norms(net)
    except UpgradeError as error:
        raise UpgradeError(f"{source}: {error}") from None
    return Upgraded(net, tuple(steps), problems)


def _upgrade_inputs(old: NetParameter, shapes: Mapping[str, Sequence[int]]) -> NetParameter:
    """The net with an Input layer in front that stands for its ``input`` fields.

    Inputs without any shape, as in published weight files, leave no layer, unless ``shapes`` has theirs.
    """
    net = NetParameter()
    net.CopyFrom(old)
    for field in ("input", "input_shape", "input_dim", "layer"):
        net.ClearField(field)
    without = not old.input_shape and not old.input_dim
    if without and set(old.input) <= set(shapes):
        layer = net.layer.add(name="input", type="Input", top=old.input)
        for name in old.input:
            layer.input_param.shape.add(dim=shapes[name])
    elif not without:
        layer = net.layer.add(name="input", type="Input", top=old.input)
        for index, name in enumerate(old.input):
            layer.input_param.shape.add().dim.extend(_input_dims(old, index, name))
    net.layer.extend(old.layer)
    return net


def _input_dims(net: NetParameter, index: int, name: str) -> Sequence[int]:
    """``input_shape`` goes before ``input_dim``, of which every input takes four.

    DEVIATION: of five for each input it takes them all, which are C3D's.
    """
    if net.input_shape:
        if index >= len(net.input_shape):
            raise UpgradeError(
                f"input {name!r}: {len(net.input_shape)} input_shape for {len(net.input)} input"
            )
        return net.input_shape[index].dim
    axes = 5 if len(net.input_dim) == 5 * len(net.input) else 4
    dims = net.input_dim[axes * index : axes * index + axes]
    if len(dims) < axes:
        raise UpgradeError(f"input {name!r}: {len(net.input_dim)} input_dim for {len(net.input)} input")
    return dims


def _is_old_batch_norm(layer: LayerParameter) -> bool:
    return layer.type == "BatchNorm" and len(layer.param) == 3


def _upgrade_batch_norms(net: NetParameter) -> None:
    """Statistics are not learned: what old files declare for them becomes a rate of zero."""
    for layer in filter(_is_old_batch_norm, net.layer):
        for spec in layer.param:
            spec.lr_mult = 0
            spec.decay_mult = 0


def upgrade_solver_report(old: SolverParameter, source: str = "<string>") -> Upgraded[SolverParameter]:
    """Upgrade a ``SolverParameter`` as Caffe does. Raises UpgradeError where Caffe's tool stops."""
    solver = SolverParameter()
    solver.CopyFrom(old)
    if not solver.HasField("solver_type"):
        return Upgraded(solver)
    if solver.HasField("type"):
        raise UpgradeError(
            f"{source}: Failed to upgrade solver: old solver_type field (enum) and new type field "
            "(string) cannot be both specified in solver proto text."
        )
    solver.type = _SOLVER_TYPES[SolverParameter.SolverType.Name(solver.solver_type)]
    solver.ClearField("solver_type")
    return Upgraded(solver, ("'solver_type' field (enum)",))
