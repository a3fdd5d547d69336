"""What a target is: the runtime's name, how graphs are made for it, and the rows of what it lacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vggrepro.graph.targets.draft import Place, Rule

Condition = Callable[[Place], bool]


def anywhere(_: Place) -> bool:
    return True


def names(text: str) -> frozenset[str]:
    """The operators that a text lists."""
    return frozenset(text.split())


@dataclass(frozen=True)
class Lack:
    """Nodes of an ``operator`` (where the condition holds) that a target must not be given."""

    operator: str
    reason: str
    seen: str
    """The version of the runtime on which it was seen, or the document that says so."""
    where: Condition = anywhere
    remedy: Rule | None = None


@dataclass(frozen=True)
class Target:
    """A runtime that graphs are made for."""

    name: str
    title: str
    exact: bool = False
    """Whether it gets Caffe's exact forms in place of plain operators."""
    fixed: bool = False
    """Whether every size must be fixed."""
    note: str = ""
    """What a user must know who converts for it."""
    opset: int = 18
    operators: frozenset[str] | None = None
    """The operators that it has; None: all that ONNX has."""
    scalars: bool = True
    """Whether it has tensors without axes; otherwise they get one of size 1."""
    unread_inputs: bool = True
    """Whether an input may be there that nothing reads."""
    inner_tensors: bool = True
    """Whether it gives no wrong values for a tensor that is asked for by its name and is no output."""
    own_detections: bool = False
    """Whether DetectionOutput is an operator of its own, which it calls as one of ONNX's."""
    names: str = ""
    """Characters that names of outputs must not have."""
    lacks: tuple[Lack, ...] = ()


def lacks(operators: str, reason: str, seen: str, **how: Any) -> tuple[Lack, ...]:
    """The same row for several operators."""
    return tuple(Lack(operator, reason, seen, **how) for operator in operators.split())


REDUCTIONS = names("ReduceL1 ReduceL2 ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare")
"""The operators that make one number of those along some axes."""
