"""Rows of .npy files on a disk that may be full or damaged: every write is complete, every read is counted.

Nothing is mapped: what cannot be written or read is an error, where a map would end the process.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from vggrepro.errors import ProtocolError
from vggrepro.system.atomic import replacing
from vggrepro.system.mapped_rows import write_whole


class NpyRows:
    """The rows of an .npy file, written in place (other processes write other rows meanwhile).

    Raises OSError, and ProtocolError for a file that is no .npy.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            shape, self.dtype, self._offset = _header(file, path)
        self.path, self.rows, self.row_shape = path, shape[0], shape[1:]
        self.row_bytes = int(self.dtype.itemsize * np.prod(self.row_shape, dtype=np.int64))
        self._file = os.open(path, os.O_RDWR)

    def write(self, index: int, row: npt.NDArray[Any] | np.generic) -> None:
        """Write a whole row. Raises ProtocolError for one of another shape or type, OSError."""
        if row.shape != self.row_shape or row.dtype != self.dtype:
            raise ProtocolError(
                f"{self.path}: got a row {row.shape} {row.dtype}, expected {self.row_shape} {self.dtype}"
            )
        write_whole(self._file, row.tobytes(), self._offset + index * self.row_bytes, self.path)

    def read(self, indexes: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Copies of rows (n, ...). Raises ProtocolError where the file ends before one, OSError."""
        rows = np.empty((len(indexes), *self.row_shape), self.dtype)
        for row, index in zip(rows.reshape(len(indexes), -1), indexes, strict=True):
            if not self._read_into(row, int(index)):
                raise ProtocolError(f"{self.path}: ends before row {int(index)}")
        return rows

    def read_all(self) -> npt.NDArray[Any]:
        """A copy of all rows, as zeros where the file ends early. Raises OSError."""
        rows = np.zeros((self.rows, *self.row_shape), self.dtype)
        _read_into(self._file, rows.reshape(-1).view(np.uint8).data, self._offset)
        return rows

    def _read_into(self, row: npt.NDArray[Any], index: int) -> bool:
        return _read_into(self._file, row.view(np.uint8).data, self._offset + index * self.row_bytes)

    def sync(self) -> None:
        """Wait until what was written is on the disk. Raises OSError, which names the file."""
        try:
            os.fsync(self._file)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from None

    def close(self) -> None:
        os.close(self._file)


def create_npy(path: Path, shape: tuple[int, ...], dtype: npt.DTypeLike, *, holes: bool) -> None:
    """Write an .npy of zeros. With ``holes`` its rows take room on the disk only when they are written."""
    kind = np.dtype(dtype)
    size = kind.itemsize * int(np.prod(shape, dtype=np.int64))
    with replacing(path) as file:
        np.lib.format.write_array_header_1_0(file, _description(shape, kind))
        if holes:
            file.flush()
            os.ftruncate(file.fileno(), file.tell() + size)
        else:
            file.write(bytes(size))


def mend_npy(path: Path, shape: tuple[int, ...], dtype: npt.DTypeLike, *, holes: bool) -> str:
    """Make a missing file, or one that is no .npy of this shape and type, anew; lengthen one that ends early
    with zeros. What was wrong with it, in words; empty if nothing was. Raises OSError."""
    kind = np.dtype(dtype)
    try:
        with path.open("rb") as file:
            found, found_kind, offset = _header(file, path)
    except FileNotFoundError:
        create_npy(path, shape, kind, holes=holes)
        return "is missing"
    except ProtocolError:
        found = ()
    if found != shape or found_kind != kind:
        create_npy(path, shape, kind, holes=holes)
        return "is damaged"
    size = offset + kind.itemsize * int(np.prod(shape, dtype=np.int64))
    if path.stat().st_size >= size:
        return ""
    os.truncate(path, size)
    return "ends early"


def _description(shape: tuple[int, ...], kind: np.dtype[Any]) -> dict[str, Any]:
    return {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}


def _header(file: IO[bytes], path: Path) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Shape, type, and the place of the first byte of the rows."""
    try:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"version {version}")
        shape, transposed, kind = np.lib.format.read_array_header_1_0(file)
        if transposed or not shape:
            raise ValueError("no rows")
    except ValueError as error:
        raise ProtocolError(f"{path}: not an .npy of a cache ({error})") from error
    return shape, kind, file.tell()


def _read_into(descriptor: int, view: memoryview, offset: int) -> bool:
    """Fill ``view`` from a place of a file; whether the file was long enough."""
    while view:
        count = os.preadv(descriptor, [view], offset)
        if not count:
            return False
        view, offset = view[count:], offset + count
    return True
