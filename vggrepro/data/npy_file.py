"""NumPy's .npy files that users give, and why a file is none."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.errors import DataError
from vggrepro.system.npz import UNREADABLE_NPZ

_MAGIC = b"\x93NUMPY"

_LONGEST = 200
"""Characters of NumPy's words, which may have the whole header in them."""


def read_npy(path: str | PathLike[str]) -> npt.NDArray[Any]:
    """The array of a .npy file, of integers or floating-point numbers. Raises DataError for a file that holds
    no such array, OSError, and MemoryError, which names the file, for one that says that it is larger than
    this machine's memory."""
    try:
        array = np.load(path, allow_pickle=False)
    except OSError:
        raise
    except MemoryError as error:
        raise MemoryError(f"{path}: {error}") from error
    except UNREADABLE_NPZ as error:
        raise DataError(f"{path}: not a .npy file: {npy_fault(path, error)}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise DataError(f"{path}: expected one array of numbers in a .npy file")
    return array


def npy_fault(path: str | PathLike[str], error: Exception) -> str:
    """What is wrong with a file that NumPy could not load: what it is in place of a .npy file, as far as that
    can be told, or the ``error`` of NumPy, which of other files says only that they might be pickles."""
    with Path(path).open("rb") as file:
        head = file.read(4096)
    if head.startswith(_MAGIC):
        return " ".join(str(error).split())[:_LONGEST]
    from vggrepro.caffe.recognise import file_kind  # command lines, which this module is for, do without

    kind = file_kind(head) if head else "an empty file"
    return f"this is {kind}" if kind else f"it begins {head[:4].hex(' ')}"
