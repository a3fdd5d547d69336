"""Arcface: the angles of the right classes, widened by a margin (a layer of ArcFace forks; not from BVLC
Caffe).

Source: a public ``arcface_layer.cpp`` with the field ``arcface_param``. "ArcFace: Additive Angular Margin
Loss for Deep Face Recognition", section 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from typing import Any

from vggrepro.errors import NetError
from vggrepro.layers.base import register
from vggrepro.layers.rules.angular_margin import AngularMargin


@register
@dataclass(frozen=True)
class Arcface(AngularMargin):
    """The cosine x of each instance's label becomes ``cos(acos(x) + m)``, or ``x - m sin(m)`` where that
    angle would be beyond pi or x is 1, in TRAIN and in TEST. The margin ``m`` must be given: its default is
    not known."""

    type = "Arcface"
    origin = "ArcFace forks"
    shifts_one = True

    @classmethod
    def from_param(cls, param: Any, phase: int) -> Arcface:
        p = param.arcface_param
        if not p.HasField("m") or not 0 <= p.m < pi:
            raise NetError(f"arcface_param: m must be given, from 0 to pi, got {p.m:g}")
        return cls(p.m)
