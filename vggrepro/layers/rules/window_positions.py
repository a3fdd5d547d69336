"""Windows of a graph tensor along one axis, taken apart by the position of an element in its window.

At position b are the elements b of all windows. A window operation along one axis becomes a few elementwise
nodes on the tensors of the positions; putting these back, and adding where windows overlap, is the backward
pass of taking them. All nodes work on blocks of memory (Split, Slice, Concat, Pad): on two CPU cores the
gradient of VGG's first pooling, (8, 64, 224, 224), takes some 40 ms, where scattering by MaxPool's
indices took 49 after 40 to find them. On CUDA those indices are not even the first maximum's: the kernel
searches column by column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from vggrepro.emit import FLOAT, GraphBuilder, Shape
from vggrepro.layers.rules.pooling_nodes import LOWEST, pad


@dataclass(frozen=True)
class WindowPositions:
    """``count`` windows along ``axis`` of a tensor of ``shape``, which begins with -1: any batch.

    The tensor of a position, and one with one element for each window, have the shape (outer, count, 1,
    inner), where outer and inner are the products of the sizes before and behind the axis.
    """

    shape: Shape
    axis: int
    kernel: int
    stride: int
    pad: int
    count: int

    @property
    def pooled(self) -> Shape:
        """Shape of the tensor that has one element for each window."""
        return (*self.shape[: self.axis], self.count, *self.shape[self.axis + 1 :])

    @property
    def _step(self) -> int:
        """One window alone may be cut into single elements, whatever the stride."""
        return self.kernel if self.count == 1 else self.stride

    @property
    def _blocks(self) -> int:
        """The padded axis is cut into so many blocks of ``_step`` elements."""
        behind = max(self.pad + self.shape[self.axis], (self.count - 1) * self._step + self.kernel)
        return -(-behind // self._step)

    def _around(self, middle: Shape) -> Shape:
        return (-1, *middle, prod(self.shape[self.axis + 1 :]))

    def by_window(self, g: GraphBuilder, pooled: str) -> str:
        """A tensor of shape ``pooled``, as (outer, count, 1, inner)."""
        return g.op("Reshape", pooled, g.ints(self._around((self.count, 1))))

    def from_windows(self, g: GraphBuilder, by_window: str) -> str:
        """The inverse of :meth:`by_window`."""
        return g.op("Reshape", by_window, g.ints(self.pooled))

    def elements(self, g: GraphBuilder, x: str, number: int) -> tuple[str, ...]:
        """The elements of ``x`` at each of the first ``number`` positions. Padding is -FLT_MAX, and so never
        a maximum of a window."""
        if number == 0:
            return ()
        step, blocks = self._step, self._blocks
        behind = blocks * step - self.pad - self.shape[self.axis]
        padded = pad(g, x, self.axis, self.pad, behind, LOWEST)
        cut = g.op("Reshape", padded, g.ints(self._around((blocks, step))))
        phases = g.ops("Split", cut, outputs=step, axis=2, num_outputs=step) if step > 1 else (cut,)
        starts = [divmod(position, step) for position in range(number)]
        return tuple(self._slice(g, phases[phase], start) for start, phase in starts)

    def _slice(self, g: GraphBuilder, phase: str, start: int) -> str:
        if self._blocks == self.count:
            return phase
        return g.op("Slice", phase, g.ints([start]), g.ints([start + self.count]), g.ints([1]))

    def first_maximum(self, g: GraphBuilder, x: str, best: str, share: str) -> list[str]:
        """For each position ``share`` where it is the first to equal ``best``, 0 elsewhere.

        The last position needs no comparison: it gets what no earlier one has taken. Exact: a share minus
        itself is 0, a share minus 0 is the share. All but ``x`` are as :meth:`by_window` makes them.
        """
        shares = []
        for element in self.elements(g, x, self.kernel - 1):
            taken = g.op("Mul", share, g.op("Cast", g.op("Equal", element, best), to=FLOAT))
            share = g.op("Sub", share, taken)
            shares.append(taken)
        return [*shares, share]

    def found(self, g: GraphBuilder, x: str, best: str) -> list[str]:
        """For each position 1 where it is the first to equal ``best``, of shape ``pooled``; 0 elsewhere."""
        best = self.by_window(g, best)
        ones = g.op("Expand", g.const(1), g.op("Shape", best))
        return self.first_maximum(g, x, best, ones)

    def places(self, g: GraphBuilder, found: Sequence[str]) -> str:
        """The place along the axis of what is found in each window."""
        offsets = [g.op("Mul", f, g.const(b)) for b, f in enumerate(found)]
        begins = np.arange(self.count) * self.stride - self.pad
        return g.op("Add", g.sum_in_order(offsets), g.const(begins.reshape(1, -1, 1, 1)))

    def put_back(self, g: GraphBuilder, elements: Sequence[str]) -> str:
        """A tensor of ``shape`` in which every element is the sum over all positions at which a window holds
        it."""
        step, blocks = self._step, self._blocks
        phases = []
        for phase in range(min(step, self.kernel)):
            shifted = [
                pad(g, elements[b], 1, b // step, blocks - self.count - b // step)
                for b in range(phase, self.kernel, step)
            ]
            phases.append(g.sum_in_order(shifted))
        joined = g.op("Concat", *phases, axis=2) if len(phases) > 1 else phases[0]
        joined = pad(g, joined, 2, 0, step - len(phases))
        length = (*self.shape[: self.axis], blocks * step, *self.shape[self.axis + 1 :])
        padded = g.op("Reshape", joined, g.ints(length))
        if length == self.shape:
            return padded
        end = self.pad + self.shape[self.axis]
        return g.op("Slice", padded, g.ints([self.pad]), g.ints([end]), g.ints([self.axis]))
