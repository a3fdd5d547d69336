"""The accuracy of fields by itself; the layers' tests look at every rule of it."""

from __future__ import annotations

import numpy as np
import pytest
from field_cases import maps

from vggrepro.errors import NetError
from vggrepro.layers.rules.box_statistics import BoxStatistics
from vggrepro.layers.rules.field_accuracy import FieldAccuracy
from vggrepro.layers.rules.field_maps import group_maps
from vggrepro.layers.rules.placed_fields import PlacedFields

FIELDS = PlacedFields(((30, 20), (20, 30)), 8, (1, 8))


def test_perfect_predictions() -> None:
    """Codes and scores made of the labels: every place is right, every box overlaps by 1."""
    scores, coded, right = maps(3, 2, 2, 3, (3, 4))
    right[:, :, 1:3] = right[:, :, 1:3].clip(4, 20)
    right[:, :, 3:5] = right[:, :, 3:5].clip(10, 40)
    scores[...] = np.arange(3)[:, None, None] == right[:, :, :1]
    row, column = np.indices((3, 4))
    for k, sides in enumerate(FIELDS.sides):
        for i, places in enumerate((column, row)):
            coded[:, k, i] = (right[:, k, 1 + i] - (places + 0.5) * 8) / sides[i]
            coded[:, k, 2 + i] = np.log(right[:, k, 3 + i] / sides[i])
    assert (np.abs(coded) < 1).all(axis=2)[right[:, :, 0] > 0].any()
    bottoms = [x.reshape(-1, *x.shape[2:]).astype(float) for x in (scores, coded, right)]
    shares, overlap = FieldAccuracy(3, FIELDS, BoxStatistics(), 2.0).reference(group_maps(bottoms, 2), (3, 4))
    assert shares.tolist() == [[[[1, 1]]]] and 0.7 < overlap.item() <= 1


def test_refuses() -> None:
    for classes, binary, top_k in ((1, False, 1), (3, True, 1), (3, False, 0), (3, False, 4)):
        with pytest.raises(NetError, match="needs cls_num of 2 or more"):
            FieldAccuracy(classes, FIELDS, BoxStatistics(), 0.5, binary, None, top_k)
