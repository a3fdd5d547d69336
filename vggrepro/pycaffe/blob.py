"""``Blob``: the arrays of a net as scripts see them, and the memory behind them."""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.emit import Shape
from vggrepro.errors import PycaffeError

Floats = npt.NDArray[np.float32]

ALIGNMENT = 16
"""Floats in 64 bytes, a cache line: where every memory begins."""


class _Window:
    """What an array that a script got keeps alive: the memory, and the knowledge that it was handed out."""

    def __init__(self, buffer: Floats, shape: Shape) -> None:
        self.shape = shape
        self._buffer = buffer
        self.__array_interface__ = {
            "shape": shape,
            "typestr": buffer.dtype.str,
            "data": (buffer.ctypes.data, False),
            "version": 3,
        }


class Storage:
    """Memory for the data or the diff of one blob, or of several that share it (Caffe's SyncedMemory).

    It grows when a larger blob needs it, and keeps its place otherwise, so that arrays that a script holds
    go on showing what the net computes. ``version`` counts how often the memory was handed out for writing.
    """

    def __init__(self, buffer: Floats | None = None) -> None:
        self.version = 0
        self._buffer = np.empty(0, np.float32) if buffer is None else buffer.reshape(-1)
        self._window: weakref.ref[_Window] | None = None

    def array(self, shape: Shape) -> Floats:
        """The memory as an array of ``shape``, for the net itself."""
        count = math.prod(shape)
        if count > self._buffer.size:
            self._grow(count)
        return self._buffer[:count].reshape(shape)

    def expose(self, shape: Shape) -> Floats:
        """The memory as an array that a script may write to, and keep for as long as it likes."""
        self.version += 1
        window = self._window() if self._window is not None else None
        if window is None or window.shape != shape:
            window = _Window(self.array(shape), shape)
            self._window = weakref.ref(window)
        return np.asarray(window)

    @property
    def held(self) -> bool:
        """Whether a script still has an array of this memory: it may write to it at any time."""
        return self._window is not None and self._window() is not None

    def adopt(self, buffer: Floats) -> None:
        """Go on in this memory, with the values that there are."""
        flat = buffer.reshape(-1)
        flat[: self._buffer.size] = self._buffer
        self._buffer, self._window = flat, None

    def touch(self) -> None:
        """Say that the contents have changed."""
        self.version += 1

    def _grow(self, count: int) -> None:
        memory = np.zeros(count + ALIGNMENT, np.float32)
        start = -(memory.ctypes.data // 4) % ALIGNMENT
        memory[start : start + self._buffer.size] = self._buffer
        self._buffer = memory[start : start + count]
        self._window = None


class IntVec(list[int]):
    """A shape, as Caffe's module gives it: a list of int. It equals a tuple of the same sizes too, which
    it is in forks."""

    __hash__ = None

    def __eq__(self, other: object) -> bool:
        return super().__eq__(list(other) if isinstance(other, tuple) else other)

    def __ne__(self, other: object) -> bool:
        return not self == other


class Blob:
    """One blob: ``data`` and ``diff`` are float32 arrays of ``shape``, both views of the net's own memory.

    What is written into them is what the next pass reads; they stay valid when the net is gone. The
    attributes cannot be replaced: write ``blob.data[...] = x``.
    """

    def __init__(self, *shape: int | Sequence[int]) -> None:
        """A blob of this shape, filled with zeros: one int for each axis, or as in tnarihi's fork their
        sequence."""
        self.name = ""
        self._shape: Shape = ()
        self.data_storage = Storage()
        self.diff_storage = Storage()
        sizes = shape[0] if len(shape) == 1 and not isinstance(shape[0], (int, np.integer)) else shape
        self._resize(sizes)  # type: ignore[arg-type]

    @property
    def data(self) -> Floats:
        return self.data_storage.expose(self._shape)

    @property
    def diff(self) -> Floats:
        return self.diff_storage.expose(self._shape)

    @property
    def net_data(self) -> Floats:
        """The data, for the net itself: no script is told that it may write here."""
        return self.data_storage.array(self._shape)

    @property
    def net_diff(self) -> Floats:
        """The diff, as :attr:`net_data`."""
        return self.diff_storage.array(self._shape)

    @property
    def shape(self) -> IntVec:
        return IntVec(self._shape)

    @property
    def dims(self) -> Shape:
        """The shape as a tuple."""
        return self._shape

    @property
    def count(self) -> int:
        return math.prod(self._shape)

    @property
    def num(self) -> int:
        return self._legacy(0)

    @property
    def channels(self) -> int:
        return self._legacy(1)

    @property
    def height(self) -> int:
        return self._legacy(2)

    @property
    def width(self) -> int:
        return self._legacy(3)

    def reshape(self, *args: int, **kwargs: Any) -> None:
        """Give the blob another shape, one argument for each axis. Its values stay where they are."""
        if kwargs:
            raise PycaffeError("Blob.reshape takes no kwargs")
        for size in args:
            if not isinstance(size, (int, np.integer)):
                raise TypeError(f"blob {self.name!r}: reshape takes one int for each axis, got {size!r}")
        self._resize(args)

    def share(self, other: Blob, *, diff: bool) -> None:
        """Use the memory of another blob (Caffe's ``ShareData`` and ``ShareDiff``)."""
        self.data_storage = other.data_storage
        if diff:
            self.diff_storage = other.diff_storage

    def _resize(self, shape: Sequence[int]) -> None:
        sizes = tuple(int(size) for size in shape)
        if any(size < 0 for size in sizes) or math.prod(sizes) > 2**31 - 1:
            raise PycaffeError(
                f"blob {self.name!r}: shape {sizes}: sizes must not be negative,"
                " and a blob has at most 2^31 - 1 values"
            )
        self._shape = sizes

    def _legacy(self, axis: int) -> int:
        if len(self._shape) > 4:
            raise PycaffeError(
                f"blob {self.name!r}: Cannot use legacy accessors on Blobs with > 4 axes, got {self._shape}"
            )
        return self._shape[axis] if axis < len(self._shape) else 1


class BlobVec(list[Blob]):
    """The blobs of a layer, or of its bottoms or tops."""

    def add_blob(self, *args: int, **kwargs: Any) -> None:
        """Append a blob of this shape, filled with zeros."""
        if kwargs:
            raise PycaffeError("BlobVec.add_blob takes no kwargs")
        self.append(Blob(*args))
