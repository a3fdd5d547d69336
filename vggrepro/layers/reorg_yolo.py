"""ReorgYolo: neighbouring places become channels (a layer of OpenVINO's Model Optimizer; not from BVLC
Caffe).

Source: openvinotoolkit/openvino, field ``reorg_yolo_param``; the order of the values is Reorg's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vggrepro.errors import NetError
from vggrepro.layers.base import register
from vggrepro.layers.reorg import Reorg


@register
@dataclass(frozen=True)
class ReorgYolo(Reorg):
    """Reorg with a field of its own, whose ``stride`` is 1 by default."""

    type = "ReorgYolo"
    origin = "OpenVINO"

    @classmethod
    def from_param(cls, param: Any, phase: int) -> ReorgYolo:
        stride = param.reorg_yolo_param.stride
        if stride < 1:
            raise NetError(f"reorg_yolo_param: stride must be above 0, got {stride}")
        return cls(stride)
