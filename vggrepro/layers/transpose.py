"""Transpose: the axes in another order (CTPN's Transpose layer; not from BVLC Caffe).

Source: tianzhi0549/caffe, branch of CTPN, field ``transpose_param``; SSD calls the same Permute.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vggrepro.emit import Shape
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.base import Shapes, register
from vggrepro.layers.permute import Permute


@register
@dataclass(frozen=True)
class Transpose(Permute):
    """Axis i of the top is axis ``dim[i]`` of the bottom; every axis must be named."""

    type = "Transpose"
    origin = "CTPN"

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Transpose:
        order = tuple(param.transpose_param.dim)
        if sorted(order) != list(range(len(order))):
            raise NetError(f"transpose_param: dim must name each axis once, got {order}")
        return cls(order)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        if len(bottoms[0]) != len(self.order):
            raise ShapeError(
                "the dimensions of the top blob and bottom blob must be equal."
                f" ({len(bottoms[0])} axes, {len(self.order)} dims)"
            )
        return super().out_shapes(bottoms)
