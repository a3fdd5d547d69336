"""OutputDecay: weight decay for what a net computes (a fork's layer; not from BVLC Caffe).

Source: the layer of wdzhao123/FRD's nets for saliency, which have it before the upsampling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vggrepro.emit import GraphBuilder
from vggrepro.errors import NetError
from vggrepro.layers.base import Array, register
from vggrepro.layers.rules.neuron import Neuron, times

FIELDS = ("regularization_type", "output_decay")


@register
@dataclass(frozen=True)
class OutputDecay(Neuron):
    """Top: the bottom as it is, and in place. To the gradient comes ``output_decay * x`` with
    ``regularization_type: "L2"``, ``output_decay * sign(x)`` with ``"L1"``: that of a loss that is not shown.

    The defaults of the fork's fields are not known: both must be given.
    """

    type = "OutputDecay"
    origin = "FRD"

    decay: float
    of_signs: bool

    @classmethod
    def from_param(cls, param: Any, phase: int) -> OutputDecay:
        p = param.output_decay_param
        if not all(map(p.HasField, FIELDS)) or p.regularization_type not in ("L1", "L2"):
            raise NetError(
                'output_decay_param: needs output_decay, and "L1" or "L2" as regularization_type, got'
                f" {p.regularization_type!r}"
            )
        if list(param.bottom) != list(param.top):
            raise NetError("OutputDecay works in place: its top must be its bottom")
        return cls(p.output_decay, p.regularization_type == "L1")

    def forward(self, g: GraphBuilder, x: str) -> str:
        return x

    def backward(self, g: GraphBuilder, x: str, y: str, dy: str) -> str:
        return g.op("Add", dy, times(g, g.op("Sign", x) if self.of_signs else x, self.decay))

    def exact(self, x: Array) -> Array:
        return x
