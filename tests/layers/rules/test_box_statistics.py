"""BoxStatistics: what ``bbox_reg_param`` says; the layers' tests compare its nodes."""

from __future__ import annotations

import numpy as np
import pytest
from google.protobuf import text_format

from vggrepro.caffe.messages import LayerParameter
from vggrepro.errors import NetError
from vggrepro.layers.rules.box_statistics import BoxStatistics


def statistics(text: str) -> BoxStatistics:
    return BoxStatistics.from_param(text_format.Parse(f"bbox_reg_param {{ {text} }}", LayerParameter()))


def test_both_or_none() -> None:
    assert statistics("bbox_mean: [1, 2, 3, 4]") == BoxStatistics()
    both = statistics("bbox_mean: [1, 2, 3, 4] bbox_std: [1, 2, 1, 0.5]")
    np.testing.assert_allclose(both.reference(np.ones((2, 4))), [[2, 4, 4, 4.5]] * 2)


def test_refuses() -> None:
    for text in ("bbox_mean: 1 bbox_std: [1, 1, 1, 1]", "bbox_mean: [0, 0, 0, 0] bbox_std: [1, 1, 1, 0]"):
        with pytest.raises(NetError, match="four bbox_std above 0"):
            statistics(text)
