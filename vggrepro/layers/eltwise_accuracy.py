"""EltwiseAccuracy: the share of places whose label is among the best classes (a fork's layer; not from BVLC
Caffe).

Source: public ``eltwise_accuracy_layer.cpp`` of forks for segmentation, field ``eltwise_accuracy_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vggrepro.emit import FLOAT, INT64, GraphBuilder, Shape, Value
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Array, Emitted, Layer, Reach, Referenced, Shapes, exactly, register


@register
@dataclass(frozen=True)
class EltwiseAccuracy(Layer[None]):
    """Bottoms: scores (N, C, H, W) and labels (N, 1, H, W). Top (1, 1, 1, 1): the share of labels among the
    ``top_k`` best classes of their places; of equal scores the later class is better. Labels of
    ``ignore_label``, or others than ``use_label``, do not count; if none counts the top is no number, as in
    the fork. A label that is no class is wrong.
    """

    type = "EltwiseAccuracy"
    origin = "segmentation forks"
    bottoms = exactly(2)
    has_gradient = False
    blind_bottoms = frozenset({1})

    top_k: int = 1
    ignored: int | None = None
    used: int | None = None

    @classmethod
    def from_param(cls, param: Any, phase: int) -> EltwiseAccuracy:
        p = param.eltwise_accuracy_param
        if p.top_k < 1:
            raise NetError("top_k must be above 0")
        ignored = p.ignore_label if p.HasField("ignore_label") else None
        return cls(p.top_k, ignored, p.use_label if p.HasField("use_label") else None)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        scores, labels = bottoms
        if len(scores) != 4 or labels != (scores[0], 1, *scores[2:]):
            raise ShapeError(
                f"expected (N, C, H, W) and labels (N, 1, H, W), got shapes {scores} and {labels}"
            )
        if self.top_k > scores[1]:
            raise ShapeError(
                f"top_k must be less than or equal to the number of classes. ({self.top_k} vs. {scores[1]})"
            )
        return ((1, 1, 1, 1),)

    def reach(self, bottom: Shape) -> Reach | None:
        return None

    def emit(
        self, g: GraphBuilder, bottoms: Sequence[Value], params: Sequence[Value], states: Sequence[Value]
    ) -> Emitted[None]:
        scores, labels = bottoms
        classes = Value(scores.name, scores.dims[1:2]).shape[0]
        label = g.op("Cast", labels.name, to=INT64)
        places = g.ints(np.arange(classes).reshape(1, classes, 1, 1).tolist())
        own = g.op("Equal", label, places)
        score = g.op("ReduceSum", g.op("Where", own, scores.name, g.const(0)), g.ints([1]))
        better = g.op("Greater", scores.name, score)
        equal = g.op("And", g.op("Equal", scores.name, score), g.op("Greater", places, label))
        ahead = g.op("ReduceSum", g.op("Cast", g.op("Or", better, equal), to=FLOAT), g.ints([1]))
        known = g.op("ReduceMax", g.op("Cast", own, to=FLOAT), g.ints([1]))
        right = g.op("Cast", g.op("Less", ahead, g.const(self.top_k)), to=FLOAT)
        counted = self._counted(g, label)
        hits = g.op("ReduceSum", g.op("Mul", g.op("Mul", right, known), counted))
        return Emitted((g.op("Div", hits, g.op("ReduceSum", counted)),), None)

    def _counted(self, g: GraphBuilder, label: str) -> str:
        counted = g.op("Cast", g.op("Equal", label, label), to=FLOAT)
        if self.ignored is not None:
            other = g.op("Not", g.op("Equal", label, g.ints(self.ignored)))
            counted = g.op("Mul", counted, g.op("Cast", other, to=FLOAT))
        if self.used is not None:
            counted = g.op("Mul", counted, g.op("Cast", g.op("Equal", label, g.ints(self.used)), to=FLOAT))
        return counted

    def reference(
        self, bottoms: Sequence[Array], params: Sequence[Array], states: Sequence[Any]
    ) -> Referenced:
        scores = np.moveaxis(bottoms[0], 1, -1).reshape(-1, bottoms[0].shape[1])
        labels = np.trunc(bottoms[1].reshape(-1)).astype(np.int64)
        counted = np.ones(len(labels), bool)
        if self.ignored is not None:
            counted &= labels != self.ignored
        if self.used is not None:
            counted &= labels == self.used
        order = np.argsort(scores[:, ::-1] * -1, axis=1, kind="stable")[:, : self.top_k]
        best = scores.shape[1] - 1 - order
        hits = (best == labels[:, None]).any(1)[counted].sum()
        total = counted.sum()
        return Referenced((np.full((1, 1, 1, 1), hits / total if total else np.nan),))
