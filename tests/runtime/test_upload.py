"""Pictures of any size become blobs on the device; arrays go there while it computes with those before."""

from __future__ import annotations

import numpy as np
import pytest

from vggrepro.runtime import upload
from vggrepro.runtime.device import Device
from vggrepro.runtime.device_array import DeviceArray, DeviceView
from vggrepro.runtime.upload import ArraysToDevice, CropsToBlob


def expected(pictures: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    return (pictures + shifts[:, None, None]).transpose(0, 3, 1, 2)


def test_the_blob_grows_with_the_pictures() -> None:
    to_blob = CropsToBlob(Device("cpu"), 1, None, 1, channels=1)
    rng = np.random.default_rng(0)
    for shape in ((1, 2, 2, 1), (3, 5, 4, 1), (2, 1, 1, 1)):
        pictures, shifts = rng.integers(0, 256, shape, np.uint8), rng.standard_normal(shape[::3], np.float32)
        np.testing.assert_array_equal(to_blob(pictures, shifts).read(), expected(pictures, shifts))


def test_a_double_buffered_blob_outlives_the_next_call() -> None:
    to_blob = CropsToBlob(Device("cpu"), 1, None, 1, channels=1, double_buffered=True)
    rng = np.random.default_rng(0)
    before: list[tuple[DeviceView, np.ndarray]] = []
    for shape in ((1, 2, 2, 1), (3, 5, 4, 1), (2, 1, 1, 1), (2, 5, 4, 1)):
        pictures, shifts = rng.integers(0, 256, shape, np.uint8), rng.standard_normal(shape[::3], np.float32)
        before.append((to_blob(pictures, shifts), expected(pictures, shifts)))
        for blob, values in before[-2:]:
            np.testing.assert_array_equal(blob.read(), values)
    to_blob.close()


def test_arrays_outlive_the_next_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "DeviceArray", lambda size, _: DeviceArray(size, Device("cpu")))
    to_device = ArraysToDevice(Device("cuda"), in_host={"label"})
    rng = np.random.default_rng(0)
    before: list[tuple[DeviceView, np.ndarray]] = []
    for shape in ((2, 3), (2, 3), (4, 5, 1), (2, 3)):
        data, label = rng.standard_normal(shape, np.float32), np.ones(1, np.float32)
        found = to_device({"data": data, "label": label})
        assert found["label"] is label
        assert isinstance(found["data"], DeviceView)
        before.append((found["data"], data))
        for view, values in before[-2:]:
            np.testing.assert_array_equal(view.read(), values)
    to_device.close()


def test_on_a_cpu_arrays_stay_where_they_are() -> None:
    arrays = {"data": np.ones(3, np.float32)}
    assert ArraysToDevice(Device("cpu"))(arrays) is arrays
