"""Normalization: vectors divided by their lengths (a layer of several forks; not from BVLC Caffe).

Sources, of one rule for vectors: beichen2012/caffe-learn, chenbinghui1/Hybrid-Attention-based-Decoupled-
Metric-Learning, ruihou/caffe-3d, liuyuisanai/CaffeMex_v2, keli78/caffe and haamoon/caffe; field
``normalization_param``, where a fork has one.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from vggrepro.emit import GraphBuilder, Shape, Value
from vggrepro.errors import ShapeError, UnsupportedError
from vggrepro.layers.base import Shapes, register
from vggrepro.layers.l2_normalize import L2Normalization


@register
@dataclass(frozen=True)
class Normalization(L2Normalization):
    """Bottom (N, K) or (N, K, 1, 1), top of the same shape: each vector divided by its length. A vector of
    zeros gives no numbers, as in most of the forks.

    Of items that are more than vectors the forks differ: CaffeMex_v2, which a net is for that sets ``norm:
    L2``, or that is loaded with ``--fork caffemex``, divides each (C, H, W) by its length; ``--fork
    caffe-3d`` does so too, and its top is (N, K). Others divide the vectors at each place, or along the last
    axis. Without a word such items are refused, and so is ``norm: L1``.
    """

    type = "Normalization"
    origin = "Metric learning forks"

    whole: bool = False
    """Items of any shape are normalised as wholes."""
    flat: bool = False
    """The top is (N, K)."""

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Normalization:
        p = param.normalization_param
        if p.norm == p.L1:
            raise UnsupportedError("normalization_param: norm: L1 is not implemented")
        return cls(p.HasField("norm") or p.HasField("flatten"), p.flatten)

    def out_shapes(self, bottoms: Shapes) -> tuple[Shape, ...]:
        (x,) = super().out_shapes(bottoms)
        if not self.whole and prod(x[2:]) != 1:
            raise ShapeError(
                f"forks differ in what Normalization does with items of shape {tuple(x[1:])}: name the fork,"
                " caffemex for whole items, caffe-3d for whole items as rows (--fork)"
            )
        return ((x[0], prod(x[1:])) if self.flat else x,)

    def _shaped(self, g: GraphBuilder, rows: str, x: Value) -> str:
        return rows if self.flat else super()._shaped(g, rows, x)

    def fixed_axes(self, bottoms: Shapes) -> frozenset[int]:
        """The sizes behind the vector tell whether it is one."""
        return frozenset() if self.whole else frozenset(range(2, len(bottoms[0])))
