"""Caffe's solver rules as ONNX graphs over flat arrays.

A rule moves one stretch of parameters: inputs ``w`` (values), ``g`` (gradient) and the histories
``h0``, ``h1``; the scalars ``rate`` (learning rate times lr_mult), ``decay`` (weight decay times
decay_mult) and ``scale`` (what the accumulated gradient is multiplied by: clipping over iter_size);
outputs ``w'``, ``h0'``, ``h1'``. All float32, all elementwise, so that outputs can be bound onto their
inputs: in every rule an old value is last read before, or by the very node that writes, its new one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from vggrepro.emit import GraphBuilder, Shape, tensor_info
from vggrepro.graph.assembly import assemble_plain
from vggrepro.graph.model import Graph
from vggrepro.graph.naming import history_name, moved_name

VALUES, GRADIENT, TOTAL, SQUARES = "w", "g", "a", "s"
RATE, DECAY, SCALE = "rate", "decay", "scale"


@dataclass(frozen=True)
class Hyper:
    """A solver's constants, under the names of ``SolverParameter``."""

    momentum: float = 0.0
    momentum2: float = 0.999
    delta: float = 1e-8
    rms_decay: float = 0.99
    regularization_type: str = "L2"


Moved = tuple[str, tuple[str, ...]]
"""The step that is subtracted from ``w``, and the new histories."""


@dataclass(frozen=True)
class Rule:
    """One solver type: how many histories it keeps, and its nodes from (g, histories)."""

    histories: int
    emit: Callable[[GraphBuilder, Hyper, str], Moved]
    takes_rated: bool = False
    """Whether ``emit`` gets the gradient times the rate, which spares a pass over the array."""


def _sgd(g: GraphBuilder, hyper: Hyper, moved: str) -> Moved:
    """``h = momentum * h + rate * d; w -= h``: the rate is inside the history."""
    h = g.op("Add", g.op("Mul", "h0", g.const(hyper.momentum)), moved)
    return h, (h,)


def _nesterov(g: GraphBuilder, hyper: Hyper, moved: str) -> Moved:
    """``step = (1 + momentum) * h' - momentum * h``, which is ``momentum * h' + rate * d``: so the
    old history is read once, before it is overwritten."""
    h = g.op("Add", g.op("Mul", "h0", g.const(hyper.momentum)), moved)
    return g.op("Add", g.op("Mul", h, g.const(hyper.momentum)), moved), (h,)


def _adagrad(g: GraphBuilder, hyper: Hyper, d: str) -> Moved:
    """``h += d^2; step = rate * d / (sqrt(h) + delta)``."""
    h = g.op("Add", "h0", g.op("Mul", d, d))
    return _scaled(g, hyper, d, h), (h,)


def _rmsprop(g: GraphBuilder, hyper: Hyper, d: str) -> Moved:
    """``h = rms_decay * h + (1 - rms_decay) * d^2; step = rate * d / (sqrt(h) + delta)``."""
    h = _moving(g, "h0", g.op("Mul", d, d), hyper.rms_decay)
    return _scaled(g, hyper, d, h), (h,)


def _adadelta(g: GraphBuilder, hyper: Hyper, d: str) -> Moved:
    """``h0`` averages d^2, ``h1`` the squared steps; step = rate * d * sqrt((h1 + delta) / (h0' + delta))."""
    h0 = _moving(g, "h0", g.op("Mul", d, d), hyper.momentum)
    delta = g.const(hyper.delta)
    ratio = g.op("Sqrt", g.op("Div", g.op("Add", "h1", delta), g.op("Add", h0, delta)))
    step = g.op("Mul", d, ratio)
    h1 = _moving(g, "h1", g.op("Mul", step, step), hyper.momentum)
    return g.op("Mul", step, "rate"), (h0, h1)


def _adam(g: GraphBuilder, hyper: Hyper, d: str) -> Moved:
    """``h0`` and ``h1`` average d and d^2; step = rate * h0 / (sqrt(h1) + delta). The correction
    sqrt(1 - momentum2^t) / (1 - momentum^t) is part of the ``rate`` that is fed."""
    h0 = _moving(g, "h0", d, hyper.momentum)
    h1 = _moving(g, "h1", g.op("Mul", d, d), hyper.momentum2)
    return _scaled(g, hyper, h0, h1), (h0, h1)


def _moving(g: GraphBuilder, old: str, new: str, keep: float) -> str:
    return g.op("Add", g.op("Mul", old, g.const(keep)), g.op("Mul", new, g.const(1 - np.float32(keep))))


def _scaled(g: GraphBuilder, hyper: Hyper, d: str, squares: str) -> str:
    root = g.op("Add", g.op("Sqrt", squares), g.const(hyper.delta))
    return g.op("Mul", g.op("Div", d, root), "rate")


RULES = {
    "SGD": Rule(1, _sgd, takes_rated=True),
    "Nesterov": Rule(1, _nesterov, takes_rated=True),
    "AdaGrad": Rule(1, _adagrad),
    "RMSProp": Rule(1, _rmsprop),
    "AdaDelta": Rule(2, _adadelta),
    "Adam": Rule(2, _adam),
}
"""Caffe's solver types, by the exact string of ``SolverParameter.type``."""


def update_graph(solver_type: str, hyper: Hyper, *, decayed: bool, steps: bool = False) -> Graph:
    """The rule of a solver type over a stretch of any length. ``decayed`` adds the regularisation:
    ``decay * w`` (L2) or ``decay * sign(w)`` (L1) to the scaled gradient, before everything else. Without it
    the graph has no input ``decay``. ``steps`` gives what is subtracted from ``w`` as
    ``g'``: Caffe leaves it in the gradient's place."""
    rule = RULES[solver_type]
    g = GraphBuilder()
    histories = [history_name(i) for i in range(rule.histories)]
    scalars = [RATE, DECAY, SCALE] if decayed else [RATE, SCALE]
    for name in [VALUES, GRADIENT, *histories, RATE, DECAY, SCALE]:
        g.reserve(name)
    d = _times(g, GRADIENT, SCALE, rule)
    if decayed:
        pull = VALUES if hyper.regularization_type == "L2" else g.op("Sign", VALUES)
        d = g.op("Add", d, _times(g, pull, DECAY, rule))
    step, moved = rule.emit(g, hyper, d)
    made = {VALUES: g.op("Sub", VALUES, step), **dict(zip(histories, moved, strict=True))}
    if steps:
        made[GRADIENT] = step
    return assemble_plain(
        "update",
        g,
        [*_flat(VALUES, GRADIENT, *histories), *_scalars(*scalars)],
        _flat(*map(moved_name, made)),
        {moved_name(name): tensor for name, tensor in made.items()},
    )


def _times(g: GraphBuilder, array: str, scalar: str, rule: Rule) -> str:
    """The product, times the rate where the rule takes it so: the two scalars are multiplied first."""
    return g.op("Mul", array, g.op("Mul", scalar, RATE) if rule.takes_rated else scalar)


def accumulate_graph() -> Graph:
    """``a' = a + g``: the gradients of several passes (iter_size)."""
    g = GraphBuilder()
    total = moved_name(TOTAL)
    return assemble_plain(
        "accumulate", g, _flat(TOTAL, GRADIENT), _flat(total), {total: g.op("Add", TOTAL, GRADIENT)}
    )


def copy_graph(shapes: Mapping[str, Shape]) -> Graph:
    """A copy of each array, by its name."""
    g = GraphBuilder()
    for name in shapes:
        g.reserve(name)
        g.reserve(moved_name(name))
    return assemble_plain(
        "copy",
        g,
        [tensor_info(name, shape, np.float32) for name, shape in shapes.items()],
        [tensor_info(moved_name(name), shape, np.float32) for name, shape in shapes.items()],
        {moved_name(name): g.op("Identity", name) for name in shapes},
    )


def square_graph() -> Graph:
    """``s``: the sum of squares of ``g``, for clip_gradients."""
    g = GraphBuilder()
    squares = g.op("ReduceSumSquare", GRADIENT, keepdims=0)
    return assemble_plain("square", g, _flat(GRADIENT), _scalars(SQUARES), {SQUARES: squares})


def _flat(*names: str) -> list[onnx.ValueInfoProto]:
    return [tensor_info(name, ["n"], np.float32) for name in names]


def _scalars(*names: str) -> list[onnx.ValueInfoProto]:
    return [tensor_info(name, [], np.float32) for name in names]
