"""Bytes of crops to the blob that a net reads."""

from __future__ import annotations

import numpy as np

from vggrepro.graph.crops_to_blob import crops_to_blob_graph
from vggrepro.runtime.session import Session


def test_pixels_become_planes_and_are_shifted() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)
    shifts = np.float32([[-1, 0.5, 2], [10, 20, 30]])
    got = Session(crops_to_blob_graph(3, 4), threads=1).run({"images": images, "shifts": shifts})["blob"]
    assert got.dtype == np.float32
    for image in range(2):
        for channel in range(3):
            expected = images[image, :, :, channel] + shifts[image, channel]
            np.testing.assert_array_equal(got[image, channel], expected)
