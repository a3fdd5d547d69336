"""MergeCrop: a blob beside, or plus, the middle of a larger one (naibaf7's layer; not from BVLC Caffe).

Source: naibaf7/caffe, field ``mergecrop_param``, for U-Nets without padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import (
    Array,
    Emitted,
    Gradients,
    Layer,
    Needed,
    Reach,
    Referenced,
    Shapes,
    exactly,
    register,
)
from vggrepro.layers.rules.neuron import filled_like


class _Saved(NamedTuple):
    bottoms: tuple[Value, Value]


@register
@dataclass(frozen=True)
class MergeCrop(Layer[_Saved]):
    """Bottoms: a (N, C, ...) and b (N, C, ...), as large or larger in each axis behind the channels. Top: a
    and the middle of b, joined along the channels (STACK, (N, 2 C, ...)) or added (ADD, (N, C, ...)).

    Where sizes differ by an odd number, one more is cut at the end. ``forward`` and ``backward`` say for a
    and b whether they count (else they are 0) and whether they get a gradient; by default both count, and
    only a gets one: what b comes from does not learn through it. Unequal channels are refused with STACK
    too: the fork's kernel mixes them up then.
    """

    type = "MergeCrop"
    origin = "naibaf7"
    bottoms = exactly(2)
    silent_bottoms = frozenset({0, 1})

    adds: bool = False
    forward: tuple[bool, ...] = (True, True)
    backward: tuple[bool, ...] = (True, False)

    @classmethod
    def from_param(cls, param: Any, phase: int) -> MergeCrop:
        p = param.mergecrop_param
        if len(p.forward) > 2 or len(p.backward) > 2:
            raise NetError("mergecrop_param: at most two of forward and backward")
        flags = []
        for given, default in ((p.forward, cls.forward), (p.backward, cls.backward)):
            flags.append((*given, *default[len(given) :]))
        return cls(p.operation == p.ADD, *flags)

    @property
    def blind_bottoms(self) -> frozenset[int]:
        return frozenset(index for index, gets in enumerate(self.backward) if not gets)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        a, b = bottoms
        if (
            len(a) != len(b)
            or len(a) < 3
            or a[0] != b[0]
            or any(s > t for s, t in zip(a[2:], b[2:], strict=True))
        ):
            raise ShapeError(
                f"bottom[1] must be of as many images as bottom[0], and no smaller, got shapes {a} and {b}"
            )
        if a[1] != b[1]:
            raise (ShapeError if self.adds else UnsupportedError)(
                f"MergeCrop of unequal channels: shapes {a} and {b}"
            )
        return ((a[0], a[1] if self.adds else 2 * a[1], *a[2:]),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def _begins(self, a: Shape, b: Shape) -> list[int]:
        """Where the middle of b begins, behind the channels."""
        return [(large - small) // 2 for small, large in zip(a, b, strict=True)]

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[_Saved]:
        a, b = bottoms
        axes = list(range(2, a.rank))
        size, larger = (Value(x.name, x.dims[2:]) for x in bottoms)
        if None in size.dims or None in larger.dims:
            shape = g.op("Shape", a.name, start=2)
            begins = g.op("Div", g.op("Sub", g.op("Shape", b.name, start=2), shape), g.ints([2]))
            ends = g.op("Add", begins, shape)
        else:
            first = self._begins(size.shape, larger.shape)
            begins, ends = g.ints(first), g.ints([x + s for x, s in zip(first, size.shape, strict=True)])
        parts = [a.name, g.op("Slice", b.name, begins, ends, g.ints(axes))]
        parts = [
            part if counts else filled_like(g, part, 0)
            for part, counts in zip(parts, self.forward, strict=True)
        ]
        top = g.op("Add", *parts) if self.adds else g.op("Concat", *parts, axis=1)
        return Emitted((top,), _Saved((a, b)))

    def grad(self, g: GraphBuilder, saved: _Saved, d_tops: Sequence[str | None], needed: Needed) -> Gradients:
        a, b = (value.shape for value in saved.bottoms)
        dy = d_tops[0]
        wanted = [n and gets for n, gets in zip(needed.bottoms, self.backward, strict=True)]
        if dy is None or not any(wanted):
            return Gradients((None, None))
        d_a, d_b = (dy, dy) if self.adds else g.ops("Split", dy, outputs=2, axis=1, num_outputs=2)
        if wanted[1]:
            begins = self._begins(a[2:], b[2:])
            after = [t - s - x for s, t, x in zip(a[2:], b[2:], begins, strict=True)]
            d_b = g.op("Pad", d_b, g.ints([0, 0, *begins, 0, 0, *after]))
        return Gradients((d_a if wanted[0] else None, d_b if wanted[1] else None))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        a, b = bottoms
        begins = self._begins(a.shape[2:], b.shape[2:])
        cut = (slice(x, x + s) for x, s in zip(begins, a.shape[2:], strict=True))
        window = (slice(None), slice(None), *cut)
        parts = [a * self.forward[0], b[window] * self.forward[1]]
        return Referenced((parts[0] + parts[1] if self.adds else np.concatenate(parts, axis=1),))
