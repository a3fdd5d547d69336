"""Caffe's solver rules as ONNX graphs over flat arrays.

A rule moves one stretch of parameters: inputs ``w`` (values), ``g`` (gradient) and the histories
``h0``, ``h1``; the scalars ``rate`` (learning rate times lr_mult), ``decay`` (weight decay times
decay_mult) and ``scale`` (what the accumulated gradient is multiplied by: clipping over iter_size);
outputs ``w'``, ``h0'``, ``h1'``. All float32, all elementwise, so that outputs can be bound onto their
inputs: in every rule an old value is last read before, or by the very node that writes, its new one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vggrepro.emit import GraphBuilder, model, tensor, tensor_info
from vggrepro.graph.model import Graph
from vggrepro.graph.naming import rename

SCALARS = ("rate", "decay", "scale")


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


def _sgd(g: GraphBuilder, hyper: Hyper, d: str) -> Moved:
    """``h = momentum * h + rate * d; w -= h``: the rate is inside the history."""
    h = g.op("Add", g.op("Mul", "h0", g.const(hyper.momentum)), g.op("Mul", d, "rate"))
    return h, (h,)


def _nesterov(g: GraphBuilder, hyper: Hyper, d: str) -> Moved:
    """``step = (1 + momentum) * h' - momentum * h``, which is ``momentum * h' + rate * d``: so the
    old history is read once, before it is overwritten."""
    moved = g.op("Mul", d, "rate")
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
    "SGD": Rule(1, _sgd),
    "Nesterov": Rule(1, _nesterov),
    "AdaGrad": Rule(1, _adagrad),
    "RMSProp": Rule(1, _rmsprop),
    "AdaDelta": Rule(2, _adadelta),
    "Adam": Rule(2, _adam),
}
"""Caffe's solver types, by the exact string of ``SolverParameter.type``."""


def update_graph(solver_type: str, hyper: Hyper, *, decayed: bool) -> Graph:
    """The rule of a solver type over a stretch of any length. ``decayed`` adds the regularisation:
    ``decay * w`` (L2) or ``decay * sign(w)`` (L1) to the scaled gradient, before everything else."""
    rule = RULES[solver_type]
    g = GraphBuilder()
    histories = [f"h{i}" for i in range(rule.histories)]
    for name in ["w", "g", *histories, *SCALARS]:
        g.reserve(name)
    d = g.op("Mul", "g", "scale")
    if decayed:
        pull = "w" if hyper.regularization_type == "L2" else g.op("Sign", "w")
        d = g.op("Add", d, g.op("Mul", pull, "decay"))
    step, moved = rule.emit(g, hyper, d)
    w = g.op("Sub", "w", step)
    return _flat_graph(
        "update",
        g,
        ["w", "g", *histories],
        SCALARS,
        {"w'": w, **{f"{h}'": m for h, m in zip(histories, moved, strict=True)}},
    )


def accumulate_graph() -> Graph:
    """``a' = a + g``: the gradients of several passes (iter_size)."""
    g = GraphBuilder()
    return _flat_graph("accumulate", g, ["a", "g"], (), {"a'": g.op("Add", "a", "g")})


def square_graph() -> Graph:
    """``s``: the sum of squares of ``g``, for clip_gradients."""
    g = GraphBuilder()
    total = g.op("ReduceSumSquare", "g", keepdims=0)
    return _flat_graph("square", g, ["g"], (), {}, {"s": total})


def _flat_graph(
    name: str,
    g: GraphBuilder,
    arrays: list[str],
    scalars: tuple[str, ...],
    outputs: dict[str, str],
    totals: dict[str, str] | None = None,
) -> Graph:
    totals = totals or {}
    result = model(
        name,
        rename(g.nodes, [(made, out) for out, made in {**outputs, **totals}.items()]),
        [
            *(tensor_info(a, ["n"], np.float32) for a in arrays),
            *(tensor_info(s, [], np.float32) for s in scalars if s != "decay" or _uses(g, "decay")),
        ],
        [
            *(tensor_info(o, ["n"], np.float32) for o in outputs),
            *(tensor_info(t, [], np.float32) for t in totals),
        ],
        [tensor(n, a) for n, a in g.constants.items()],
        {},
    )
    return Graph(result, {})


def _uses(g: GraphBuilder, name: str) -> bool:
    return any(name in node.input for node in g.nodes)
