"""Weights by which the gates of ConvLSTM see the cells of the step before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vggrepro.caffe.messages import FillerParameter
from vggrepro.emit import GraphBuilder, Shape
from vggrepro.errors import ShapeError
from vggrepro.layers.base import Array, ParamDef
from vggrepro.layers.rules.axes import shape_string
from vggrepro.layers.rules.batch_pieces import sum_of

AXES = 5
"""Of a blob: steps, streams, channels, height and width."""
CHANNELS = 1
"""The axis of the channels in what one step has."""


@dataclass(frozen=True)
class Peepholes:
    """Which of a blob's axes the weights of i, f and o have; g sees no cells."""

    axis: int
    """The first of them (``axis_hadamard``)."""
    number: int
    """How many there are (``num_axes_hadamard``)."""

    def shape(self, cells: Shape) -> Shape:
        """The shape of each weight over ``cells`` (T, N, D, H, W). Raises ShapeError for axes that there are
        not."""
        if self.axis + self.number > AXES:
            raise ShapeError(
                f"lstm_debug_param: axis_hadamard {self.axis} and num_axes_hadamard {self.number} go beyond"
                f" the axes of {shape_string(cells)}"
            )
        return cells[self.axis : self.axis + self.number]

    def _over_step(self, cells: Shape) -> Shape:
        """The shape with an axis for each one of a step's blob, which lacks the axis of steps."""
        behind = AXES - self.axis - self.number
        return (*[1] * self.axis, *self.shape(cells), *[1] * behind)[1:]

    def param_defs(self, cells: Shape) -> tuple[ParamDef, ...]:
        """The weights of i, f and o, which are filled with 1, as those of Caffe's Scale."""
        return (ParamDef(self.shape(cells), FillerParameter(type="constant", value=1)),) * 3

    def weights(self, g: GraphBuilder, params: Sequence[str], cells: Shape) -> tuple[str, ...]:
        """The weights of i, f and o with the axes of a step's blob."""
        over = g.ints(self._over_step(cells))
        return tuple(g.op("Reshape", p, over) for p in params)

    def add(self, g: GraphBuilder, gates: str, c: str, weights: Sequence[str]) -> str:
        """What the gates see of the cells, added to them."""
        nothing = g.op("ConstantOfShape", g.op("Shape", c))
        seen = [g.op("Mul", c, w) for w in weights]
        return g.op("Add", gates, g.op("Concat", *seen, nothing, axis=CHANNELS))

    def backward(
        self, g: GraphBuilder, d_gates: str, c: str, weights: Sequence[str]
    ) -> tuple[list[str], list[str]]:
        """From the gradient of a step's gates: for i, f and o its products with the cells, and with the
        weights; the sum of these is the cells' gradient."""
        d_seen = g.ops("Split", d_gates, outputs=4, axis=CHANNELS, num_outputs=4)[:3]
        products = [g.op("Mul", d, c) for d in d_seen]
        return products, [g.op("Mul", d, w) for d, w in zip(d_seen, weights, strict=True)]

    def gradients(self, g: GraphBuilder, products: Sequence[Sequence[str]], cells: Shape) -> list[str]:
        """Those of the parameters, from each step's products of cells and gradients."""
        axes = [axis for axis, size in enumerate(self._over_step(cells)) if size == 1]
        sums = [sum_of(g, each) for each in zip(*products, strict=True)]
        if axes:
            sums = [g.op("ReduceSum", d, g.ints(axes)) for d in sums]
        return [g.op("Reshape", d, g.ints(self.shape(cells))) for d in sums]

    def reference(self, c: Array, weights: Sequence[Array]) -> Array:
        over = self._over_step((1, *c.shape))
        return np.concatenate([*(c * w.reshape(over) for w in weights), np.zeros_like(c)], CHANNELS)
