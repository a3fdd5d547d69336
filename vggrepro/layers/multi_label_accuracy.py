"""MultiLabelAccuracy: how many labels that say yes, no or nothing are right (forks' layer; not
from BVLC Caffe).

Source: kevinlin311tw/caffe-multilabel, tmbo/caffe and other forks with MultiLabelLoss, which agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import INT64, GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError
from vggrepro.layers.base import Array, Emitted, Layer, Reach, Referenced, Shapes, exactly, register
from vggrepro.layers.rules.loss import legacy_size, shaped_like
from vggrepro.layers.rules.neuron import indicator


@register
@dataclass(frozen=True)
class MultiLabelAccuracy(Layer[None]):
    """Bottoms: scores (N, C, H, W) and labels of the same sizes, whose integer part is above 0 for yes, below
    0 for no, and 0 where nothing is known. Top (1, 5, 1, 1): sensitivity, specificity, the harmonic mean of
    the two, precision and F1 score of what is known. A score of 0 or more is a yes.

    A share of nothing is 0, but the mean ``2 / (P / TP + N / TN)``, of P labels that say yes and N that say
    no, of which TP and TN are found, is no number if P or N is 0, as in the forks.
    """

    type = "MultiLabelAccuracy"
    origin = "multi-label forks"
    bottoms = exactly(2)
    has_gradient = False
    blind_bottoms = frozenset({1})

    @classmethod
    def from_param(cls, param: Any, phase: int) -> MultiLabelAccuracy:
        return cls()

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        scores, labels = ([legacy_size(shape, axis) for axis in range(4)] for shape in bottoms)
        if scores != labels:
            raise ShapeError(f"scores and labels must have the same sizes, got {scores} and {labels}")
        return ((1, 5, 1, 1),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        label = g.op("Cast", shaped_like(g, bottoms[1], bottoms[0]), to=INT64)
        found = g.op("GreaterOrEqual", bottoms[0].name, g.const(0))
        missed = g.op("Not", found)
        yes, no = g.op("Greater", label, g.ints(0)), g.op("Less", label, g.ints(0))
        pairs = ((yes, found), (yes, missed), (no, missed), (no, found))
        tp, fn, tn, fp = (g.op("ReduceSum", indicator(g, g.op("And", *pair)), keepdims=0) for pair in pairs)
        p, n = g.op("Add", tp, fn), g.op("Add", tn, fp)
        odds = g.op("Add", g.op("Div", p, tp), g.op("Div", n, tn))
        mean = g.op(
            "Where", g.op("Greater", g.op("Add", p, n), g.const(0)), g.op("Div", g.const(2), odds), g.const(0)
        )
        twice = g.op("Mul", tp, g.const(2))
        f1 = self._share(g, twice, g.op("Add", twice, g.op("Add", fp, fn)))
        shares = [
            self._share(g, tp, p),
            self._share(g, tn, n),
            mean,
            self._share(g, tp, g.op("Add", tp, fp)),
            f1,
        ]
        numbers = [g.op("Reshape", share, g.ints([1, 1, 1, 1])) for share in shares]
        return Emitted((g.op("Concat", *numbers, axis=1),), None)

    @staticmethod
    def _share(g: GraphBuilder, part: str, whole: str) -> str:
        """``part / whole``, and 0 of nothing: then ``part`` is 0 too."""
        return g.op("Div", part, g.op("Max", whole, g.const(1)))

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        label, found = np.trunc(bottoms[1].reshape(-1)), bottoms[0].reshape(-1) >= 0
        tp, fn = (found & (label > 0)).sum(), (~found & (label > 0)).sum()
        tn, fp = (~found & (label < 0)).sum(), (found & (label < 0)).sum()
        p, n = tp + fn, tn + fp
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = 2 / (np.float64(p) / tp + np.float64(n) / tn) if p + n else 0.0
        f1 = 2 * tp / max(2 * tp + fp + fn, 1)
        top = [tp / max(p, 1), tn / max(n, 1), mean, tp / max(tp + fp, 1), f1]
        return Referenced((np.asarray(top, np.float64).reshape(1, 5, 1, 1),))
