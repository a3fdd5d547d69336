"""What is built anew for each set of input shapes: Caffe reshapes a net when a batch has other sizes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from vggrepro.emit import Shape

T = TypeVar("T")

MOST = 4
"""How many sets of shapes are kept: each holds a session with memory of its own."""


class ByShapes(Generic[T]):
    """What ``build`` makes of input shapes, once for each set of them. The ``MOST`` last used are kept."""

    def __init__(self, build: Callable[[Mapping[str, Shape]], T]) -> None:
        self._build = build
        self._made: OrderedDict[tuple[tuple[str, Shape], ...], T] = OrderedDict()

    def __call__(self, shapes: Mapping[str, Shape]) -> T:
        key = tuple(sorted(shapes.items()))
        if key not in self._made:
            while len(self._made) >= MOST:
                self._made.popitem(last=False)
            self._made[key] = self._build(shapes)
        self._made.move_to_end(key)
        return self._made[key]
