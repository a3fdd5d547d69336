"""CosinAddm: the angles of the right classes, widened by a margin (arcface-caffe's layer; not from BVLC
Caffe).

Source: xialuxi/arcface-caffe, field ``cosin_add_m_param``. "ArcFace: Additive Angular Margin Loss for Deep
Face Recognition", section 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vggrepro.caffe.messages import TRAIN
from vggrepro.layers.base import register
from vggrepro.layers.rules.angular_margin import AngularMargin


@register
@dataclass(frozen=True)
class CosinAddm(AngularMargin):
    """In TRAIN the cosine x of each instance's label becomes ``cos(acos(x) + m)``, or ``x - m sin(m)`` where
    that angle would be beyond pi. In TEST scores stay as they are.

    DEVIATION: forward, the fork's CPU code adds the margin in TEST too; backward, its CUDA code does not
    multiply by the gradient of the top. Here TEST is as in its CUDA code, and the gradient as in its CPU
    code.
    """

    type = "CosinAddm"
    origin = "arcface-caffe"

    @classmethod
    def from_param(cls, param: Any, phase: int) -> CosinAddm:
        return cls(param.cosin_add_m_param.m, phase == TRAIN)
