"""An array that the user gives to feed a net."""

from __future__ import annotations

from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.data.npy_file import npy_fault
from vggrepro.errors import NetError
from vggrepro.system.npz import UNREADABLE_NPZ


def read_array(path: str | PathLike[str]) -> npt.NDArray[Any]:
    """The array of a .npy file, of integers or floating-point numbers. Raises NetError for a file that holds
    no such array, OSError."""
    try:
        array = np.load(path, allow_pickle=False)
    except OSError:
        raise
    except UNREADABLE_NPZ as error:
        raise NetError(f"{path}: not a .npy file: {npy_fault(path, error)}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise NetError(f"{path}: expected one array of numbers in a .npy file")
    return array
