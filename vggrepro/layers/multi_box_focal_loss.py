"""MultiBoxFocalLoss: MultiBoxLoss in which what is right already counts little (chuanqi305's layer for SSD;
not from BVLC Caffe).

Source: chuanqi305/FocalLoss, fields ``multibox_loss_param`` and ``focal_loss_param``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from vggrepro.errors import UnsupportedError
from vggrepro.layers.base import register
from vggrepro.layers.multi_box_loss import MultiBoxLoss
from vggrepro.layers.rules.box_losses import BoxLosses
from vggrepro.layers.rules.focus import Focus


@register
@dataclass(frozen=True)
class MultiBoxFocalLoss(MultiBoxLoss):
    """As MultiBoxLoss, but a softmax's loss of the confidences of a prior counts ``alpha (1 - p)^gamma``
    times, of the probability p of what is right; by default 0.25 and 2. Hard examples are those of
    MultiBoxLoss, and the losses of sigmoids (LOGISTIC) count as there.
    """

    type = "MultiBoxFocalLoss"
    origin = "chuanqi305"

    @classmethod
    def losses_of(cls, param: Any) -> BoxLosses:
        p = param.focal_loss_param
        if p.type != p.ORIGIN:
            raise UnsupportedError(
                f"focal_loss_param: type {p.Type.Name(p.type)} is another fork's: only ORIGIN"
            )
        return replace(
            super().losses_of(param), focus=Focus(p.alpha if p.HasField("alpha") else 0.25, p.gamma)
        )
