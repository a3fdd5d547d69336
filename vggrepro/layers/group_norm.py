"""GroupNorm: groups of channels of each image brought to mean 0 and variance 1 (a layer of several forks; not
from BVLC Caffe).

Sources: a public GroupNorm-caffe with the field ``group_num``, hujie-frank's layer with ``group``, which also
scales and shifts, and another with ``group_ratio``; all in ``group_norm_param``. "Group Normalization",
section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vggrepro.emit import Shape
from vggrepro.errors import NetError, ShapeError, UnsupportedError
from vggrepro.layers.base import register
from vggrepro.layers.rules.groupwise_norm import GroupwiseNorm


@register
@dataclass(frozen=True)
class GroupNorm(GroupwiseNorm):
    """Groups of C / groups channels, one after the other. With ``group`` the layer has two blobs (1, C, 1,
    1), scale and shift. ``eps`` is 1e-5 with ``group_num``; with the other fields it must be given."""

    type = "GroupNorm"
    origin = "GroupNorm forks"

    groups: int
    eps: float
    scales: bool = False
    scale_filler: Any = None
    bias_filler: Any = None

    @classmethod
    def from_param(cls, param: Any, phase: int) -> GroupNorm:
        p = param.group_norm_param
        named = [name for name in ("group_num", "group", "group_ratio") if p.HasField(name)]
        if len(named) != 1 or (named != ["group_num"] and not p.HasField("eps")):
            raise UnsupportedError(
                "group_norm_param: forks differ: expected group_num, or eps and one of group and group_ratio"
            )
        groups = getattr(p, named[0])
        if groups < 1:
            raise NetError(f"group_norm_param: {named[0]} must be above 0, got {groups}")
        return cls(groups, p.eps, named == ["group"], p.scale_filler, p.bias_filler)

    def pieces(self, bottom: Shape) -> int:
        if len(bottom) < 2 or bottom[1] % self.groups:
            raise ShapeError(f"bottom[0] must have channels divisible by {self.groups}, got shape {bottom}")
        return self.groups

    def affine_shape(self, bottom: Shape) -> Shape | None:
        return (1, bottom[1], 1, 1) if self.scales else None

    @property
    def affine_fillers(self) -> tuple[Any, Any]:
        return self.scale_filler, self.bias_filler
