"""Pictures of any size become blobs on the device."""

from __future__ import annotations

import numpy as np

from vggrepro.runtime.device import Device
from vggrepro.runtime.upload import CropsToBlob


def test_the_blob_grows_with_the_pictures() -> None:
    to_blob = CropsToBlob(Device("cpu"), 1, None, 1, channels=1)
    rng = np.random.default_rng(0)
    for shape in ((1, 2, 2, 1), (3, 5, 4, 1), (2, 1, 1, 1)):
        pictures, shifts = rng.integers(0, 256, shape, np.uint8), rng.standard_normal(shape[::3], np.float32)
        expected = (pictures + shifts[:, None, None]).transpose(0, 3, 1, 2)
        np.testing.assert_array_equal(to_blob(pictures, shifts).read(), expected)
