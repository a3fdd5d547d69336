"""Fields and maps of MS-CNN's layers; the layers' own tests compare their boxes."""

from __future__ import annotations

import numpy as np

from vggrepro.layers.rules.anchors import reference_grid
from vggrepro.layers.rules.field_boxes import Fields, reference_flat_maps


def test_fields_lie_around_the_middle_of_a_stride() -> None:
    centres, sides = reference_grid((1, 2), Fields(((20, 40), (28, 56)), 8).anchors, 8)
    np.testing.assert_allclose(centres, [[4, 4], [4, 4], [12, 4], [12, 4]])
    np.testing.assert_allclose(sides, [[20, 40], [28, 56]] * 2)


def test_maps_of_groups_become_rows_place_by_place() -> None:
    maps = np.arange(2 * 3 * 2 * 1 * 2).reshape(6, 2, 1, 2).astype(float)  # 2 images of 3 groups
    rows = reference_flat_maps(maps, 3)
    assert rows.shape == (2, 6, 2)
    assert rows[1, 4].tolist() == maps[4, :, 0, 1].tolist()  # second image, second place, second group
