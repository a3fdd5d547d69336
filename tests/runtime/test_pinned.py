"""Host memory that a GPU reads at full speed."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

from vggrepro.runtime.device import Device
from vggrepro.runtime.pinned import PinnedArrays


class Library:
    """CUDA's functions for such memory, of which ``most`` bytes are there."""

    def __init__(self, most: int = 1 << 20) -> None:
        self.most, self.held = most, dict[int, Any]()
        self.selected: list[int] = []

    def cudaSetDevice(self, index: int) -> int:
        self.selected.append(index)
        return 0

    def cudaMallocHost(self, pointer: Any, size: ctypes.c_size_t) -> int:
        if size.value > self.most:
            return 2
        memory = ctypes.create_string_buffer(size.value)
        self.held[ctypes.addressof(memory)] = memory
        pointer._obj.value = ctypes.addressof(memory)
        return 0

    def cudaFreeHost(self, pointer: ctypes.c_void_p) -> int:
        assert pointer.value is not None
        del self.held[pointer.value]
        return 0


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    found = Library()
    monkeypatch.setattr(Device, "cuda_library", lambda _: found)
    return found


def test_arrays_take_turns_and_grow(library: Library) -> None:
    arrays = PinnedArrays(Device("cuda"), 2)
    first, second = arrays.next((2, 3)), arrays.next((4,))
    first[:], second[:] = 1, 2
    assert len(library.held) == 2 and first.ctypes.data in library.held
    again = arrays.next((3,))
    assert again.ctypes.data == first.ctypes.data and (again == 1).all()
    larger = arrays.next((50,))
    assert larger.shape == (50,) and len(library.held) == 2
    arrays.close()
    assert not library.held


def test_where_no_such_memory_is_left_plain_arrays_do(library: Library) -> None:
    library.most = 5
    arrays = PinnedArrays(Device("cuda"), 1)
    assert arrays.next((6,)).dtype == np.uint8
    arrays.close()
    assert not library.held


def test_the_thread_works_with_the_devices_gpu(library: Library) -> None:
    """A thread that asks CUDA for memory has it from GPU 0, unless it says otherwise before."""
    arrays = PinnedArrays(Device("cuda", 3), 1)
    assert library.selected == []
    arrays.next((2,))
    assert library.selected == [3]
    arrays.close()


def test_a_cpu_has_plain_arrays() -> None:
    arrays = PinnedArrays(Device("cpu"), 1)
    assert arrays.next((2, 2)).shape == (2, 2)
    arrays.close()
