"""Which layers of a net definition a net state (phase, level, stages) has (Caffe's ``Net::FilterNet``)."""

from __future__ import annotations

from collections.abc import Sequence

from vggrepro.caffe.messages import PHASES, LayerParameter, NetParameter, NetState, NetStateRule
from vggrepro.errors import NetError
from vggrepro.system.file_names import is_utf8


def filter_net(
    net: NetParameter, *, phase: int | str, level: int = 0, stages: Sequence[str] = ()
) -> NetParameter:
    """The net as ``Net(file, phase, level, stages)`` builds it: a new ``NetParameter``.

    ``phase`` is TRAIN or TEST, by name or number. As in Caffe, phase and level replace those of the
    file's own ``state``, and stages are added to it. Raises NetError.
    """
    state = NetState()
    state.CopyFrom(net.state)
    state.phase = _phase_number(phase)
    try:
        state.level = level
    except ValueError:
        raise NetError(f"level {level}: expected a number of 32 bits") from None
    add_stages(state, stages)
    return filter_by_state(net, state)


def add_stages(state: NetState, stages: Sequence[str]) -> None:
    """Add stages to those of a ``NetState``. Raises NetError for names that are no UTF-8."""
    if not all(map(is_utf8, stages)):
        raise NetError(f"stages {', '.join(map(repr, stages))}: expected names in UTF-8")
    state.stage.extend(stages)


def solver_net_state(phase: int | str, net: NetParameter, solver_state: NetState | None = None) -> NetState:
    """The ``NetState`` that a solver gives a net: the phase, overridden by the net's own ``state``,
    overridden by the solver's ``train_state`` or ``test_state``; stages add up."""
    state = NetState(phase=_phase_number(phase))
    state.MergeFrom(net.state)
    if solver_state is not None:
        state.MergeFrom(solver_state)
    return state


def filter_by_state(net: NetParameter, state: NetState) -> NetParameter:
    """The net with the layers that ``state`` (a ``NetState``) includes. Every layer has its phase
    set, the net's unless it has its own. Raises NetError."""
    filtered = NetParameter()
    filtered.CopyFrom(net)
    filtered.ClearField("layer")
    filtered.state.CopyFrom(state)
    stages = frozenset(state.stage)
    for layer in net.layer:
        if _is_included(layer, state, stages):
            kept = filtered.layer.add()
            kept.CopyFrom(layer)
            if not layer.HasField("phase"):
                kept.phase = state.phase
    return filtered


def _is_included(layer: LayerParameter, state: NetState, stages: frozenset[str]) -> bool:
    if layer.include and layer.exclude:
        raise NetError(f"layer {layer.name!r}: Specify either include rules or exclude rules; not both.")
    if layer.include:
        return any(_meets(state, stages, rule) for rule in layer.include)
    return not any(_meets(state, stages, rule) for rule in layer.exclude)


def _meets(state: NetState, stages: frozenset[str], rule: NetStateRule) -> bool:
    """Caffe's ``StateMeetsRule``: whether a ``NetState``, with its ``stages``, meets every condition of a
    ``NetStateRule``."""
    return (
        (not rule.HasField("phase") or rule.phase == state.phase)
        and (not rule.HasField("min_level") or state.level >= rule.min_level)
        and (not rule.HasField("max_level") or state.level <= rule.max_level)
        and stages.issuperset(rule.stage)
        and stages.isdisjoint(rule.not_stage)
    )


def _phase_number(phase: int | str) -> int:
    if isinstance(phase, str):
        if phase not in PHASES:
            raise NetError(f"phase {phase!r}: expected {' or '.join(PHASES)}")
        return PHASES[phase]
    if phase not in PHASES.values():
        raise NetError(f"phase {phase}: expected {' or '.join(map(str, PHASES.values()))}")
    return phase
