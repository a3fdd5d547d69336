"""Large arrays that are used again."""

import numpy as np

from vggrepro.data.array_pool import Buffers


def test_buffers_come_back_once_nobody_holds_them():
    buffers = Buffers((4, 5))
    first = buffers.take()
    place = first.ctypes.data
    assert buffers.take().ctypes.data != place
    view = first[1:]
    del first
    assert place not in {buffers.take().ctypes.data for _ in range(3)}
    del view
    assert buffers.take().ctypes.data == place


def test_what_is_made_from_an_array_holds_it_too():
    buffers = Buffers((4, 6))
    taken = buffers.take()
    place, derived = taken.ctypes.data, taken.reshape(3, 8)[1:].T
    del taken
    assert buffers.take().ctypes.data != place
    del derived
    assert buffers.take().ctypes.data == place


def test_arrays_are_of_the_shape_and_of_bytes():
    taken = Buffers((2, 3, 5)).take()
    assert (taken.shape, taken.dtype) == ((2, 3, 5), np.uint8)
