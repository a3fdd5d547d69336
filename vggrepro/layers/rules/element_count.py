"""How many elements a tensor has when a graph runs."""

from __future__ import annotations

from math import prod
from typing import TypeAlias

from vggrepro.emit import GraphBuilder, Value

Size: TypeAlias = int | str
"""A size, or the name of one that is known only when a graph runs: int64 (1,)."""


def sizes(g: GraphBuilder, *parts: Size) -> str:
    """Sizes one after the other: int64."""
    numbers = [part for part in parts if isinstance(part, int)]
    if len(numbers) == len(parts):
        return g.ints(numbers)
    names = [g.ints([part]) if isinstance(part, int) else part for part in parts]
    return g.op("Concat", *names, axis=0) if len(names) > 1 else names[0]


def times(g: GraphBuilder, size: Size, factor: int) -> Size:
    """A multiple of a size."""
    return size * factor if isinstance(size, int) else g.op("Mul", size, g.ints([factor]))


def at_most(g: GraphBuilder, size: Size, most: int | None) -> Size:
    """A size, or the largest that it may be; None if it may be any."""
    if most is None:
        return size
    return min(size, most) if isinstance(size, int) else g.op("Min", size, g.ints([most]))


def axis_size(g: GraphBuilder, tensor: str, axis: int) -> str:
    """The size of an axis, counted from 0: int64 ()."""
    return g.op("Squeeze", g.op("Shape", tensor, start=axis, end=axis + 1), g.ints([0]))


def axis_places(g: GraphBuilder, tensor: str, axis: int) -> str:
    """0, 1, 2, ... along an axis, counted from 0: int64, as many as its size."""
    return g.op("Range", g.ints(0), axis_size(g, tensor, axis), g.ints(1))


def element_count(g: GraphBuilder, x: Value) -> str:
    """The number of elements of x, float32 ().

    Axis 0 is read from the data: behind a Filter it may be shorter than declared. Ones are summed, because
    arithmetic with sizes runs on the CPU, also where all else is on a GPU.
    """
    if x.rank == 0:
        return g.const(1)
    known = [size for size in x.dims[1:] if size is not None]
    end = 1 if len(known) == len(x.dims[1:]) else x.rank
    ones = g.op("Expand", g.const(1), g.op("Shape", x.name, start=0, end=end))
    total = g.op("ReduceSum", ones, keepdims=0)
    return total if end > 1 or prod(known) == 1 else g.op("Mul", total, g.const(prod(known)))
