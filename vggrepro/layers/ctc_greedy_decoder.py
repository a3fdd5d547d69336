"""CTCGreedyDecoder: the labels of the likeliest path (Intel's layer for reading plates; not from BVLC Caffe).

Source: OpenVINO's operation CTCGreedyDecoder-1, by which that runtime computes the layer; field
``ctc_decoder_param``. The fork itself is not public.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from vggrepro.errors import UnsupportedError
from vggrepro.layers.base import exactly, register
from vggrepro.layers.ctc_decoder import CTCDecoder


@register
@dataclass(frozen=True)
class CTCGreedyDecoder(CTCDecoder):
    """Bottoms: scores (T, N, C) of C labels in T steps of N sequences, and indicators (T, N): a sequence
    ends before the first step whose indicator is 0. Top (N, T, 1, 1): labels, and -1 behind them.

    The best label of each step is taken, the first of equal ones; the last label, which is the blank, is left
    out, and with ``ctc_merge_repeated`` labels that equal the one before.

    A layer of this name in senlinuc/caffe_ocr, without parameters, measures how many sequences are read
    right. It is refused.
    """

    type = "CTCGreedyDecoder"
    origin = "Intel"
    bottoms = exactly(2)
    tops = exactly(1)
    first_counts: ClassVar[bool] = True

    @classmethod
    def from_param(cls, param: Any, phase: int) -> CTCGreedyDecoder:
        d = param.ctc_decoder_param
        if not d.HasField("ctc_merge_repeated") or d.HasField("blank_index"):
            raise UnsupportedError(
                "forks differ: only the CTCGreedyDecoder of a ctc_decoder_param with ctc_merge_repeated, and"
                " without blank_index, is implemented"
            )
        return cls(-1, d.ctc_merge_repeated, order=None)
