"""Flat arrays on the CPU, views of them and layouts. (tests/runtime/test_cuda.py has them on a GPU.)"""

from __future__ import annotations

import numpy as np
import pytest

from vggrepro.runtime.device import Device
from vggrepro.runtime.device_array import DeviceArray, DeviceScalar, DeviceView, Layout

CPU = Device("cpu")


@pytest.mark.parametrize("size", [1, 15, 1000])
def test_zeros_on_a_cache_line(size: int) -> None:
    array = DeviceArray(size, CPU)
    assert array.address % 64 == 0
    np.testing.assert_array_equal(array.read(), np.zeros(size, np.float32))
    assert array.size == size


def test_the_cpus_memory_is_the_arrays_own() -> None:
    array = DeviceArray(4, CPU)
    array.read()[1] = 7
    np.testing.assert_array_equal(array.read(), [0, 7, 0, 0])
    given = np.arange(4, dtype=np.float32)
    array.write(given)
    given[0] = 9
    np.testing.assert_array_equal(array.read(), [0, 1, 2, 3])
    array.clear()
    np.testing.assert_array_equal(array.read(), np.zeros(4))


def test_views_count_in_elements() -> None:
    array = DeviceArray(100, CPU)
    view = DeviceView(array, 20, (3, 4))
    assert (view.size, view.address) == (12, array.address + 80)
    part = view.part(5, 2)
    assert (part.array, part.offset, part.shape) == (array, 25, (2,))


def test_a_layouts_arrays_begin_at_multiples_of_64_bytes() -> None:
    layout = Layout({"a": (3, 5), "b": (16,), "c": ()})
    assert layout.offsets == {"a": 0, "b": 16, "c": 32}
    assert layout.size == 48
    array = DeviceArray(layout.size, CPU)
    view = layout.on_device(array, "b")
    assert (view.offset, view.shape) == (16, (16,))
    flat = np.arange(48, dtype=np.float32)
    np.testing.assert_array_equal(layout.view(flat, "a"), np.arange(15).reshape(3, 5))
    layout.view(flat, "c")[...] = -1
    assert flat[32] == -1


def test_scalars_change() -> None:
    scalar = DeviceScalar(CPU)
    assert scalar.value.numpy() == 0
    scalar.set(0.1)
    assert scalar.value.numpy() == np.float32(0.1)


def test_only_a_change_is_sent_to_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[float] = []

    class Value:
        def update_inplace(self, array: np.ndarray) -> None:
            sent.append(float(array))

    scalar = DeviceScalar(CPU)
    monkeypatch.setattr(scalar, "value", Value())
    for number in (0, 2, 2, 3, -0.0, 0, float("nan"), float("nan")):
        scalar.set(number)
    np.testing.assert_array_equal(sent, [2, 3, -0.0, 0, np.nan])


def test_a_view_in_another_shape() -> None:
    view = DeviceView(DeviceArray(12, CPU), 4, (2, 3)).shaped((6,))
    assert (view.offset, view.shape) == (4, (6,))
