"""Classes of YOLO v2: which labels are allowed; tests/layers/test_region_loss.py has the rules."""

from __future__ import annotations

import numpy as np

from vggrepro.layers.rules.label_tree import LabelTree
from vggrepro.layers.rules.region_classes import RegionClasses


def test_allowed_labels() -> None:
    assert RegionClasses(2, 1).allowed_labels(True) is None
    tree = RegionClasses(2, 1, LabelTree((-1, 0)))
    rows, annotated = tree.allowed_labels(False), tree.allowed_labels(True)
    assert rows is not None and annotated is not None
    assert (rows.column, annotated.column, rows.classes, annotated.ignored) == ((5, 0), (8, 1), 2, -1)


def test_teaching() -> None:
    shares, slopes = np.array([0.7, 0.3, 1.0]), np.full(3, 9.0)
    RegionClasses(3, 2, places=(1, 2)).teach(slopes, shares, 0)
    np.testing.assert_allclose(slopes, [1.4, -1.4, 2])
    slopes = np.full(3, 9.0)
    RegionClasses(3, 2, LabelTree((-1, -1, 0))).teach(slopes, shares, 1)
    np.testing.assert_allclose(slopes, [1.4, -1.4, 9])  # the group of 2 is not 1's
