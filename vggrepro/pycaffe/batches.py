"""Arrays of any number of samples, cut into batches of a net's size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.errors import PycaffeError

Arrays = dict[str, npt.NDArray[Any]]


def common_length(arrays: Mapping[str, npt.NDArray[Any]]) -> int:
    """How many samples each of the arrays has. Raises PycaffeError where they have different numbers.

    DEVIATION: Caffe's module goes by the first array; what others have more is left out, but that the last
    batch, where it is not full, has their last samples.
    """
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name!r} {length}" for name, length in lengths.items())
        raise PycaffeError(f"arrays of different lengths: {told}; expected as many samples of each")
    return next(iter(lengths.values()))


def in_batches(arrays: Mapping[str, npt.NDArray[Any]], size: int) -> Iterator[Arrays]:
    """``size`` samples of each array at a time, of which all have as many; the last batch is filled up with
    zeros."""
    if not arrays:
        return
    count = len(next(iter(arrays.values())))
    for first in range(0, count, size):
        batch = {name: array[first : first + size] for name, array in arrays.items()}
        missing = first + size - count
        if missing > 0:
            batch = {
                name: np.concatenate([array, np.zeros((missing, *np.shape(array)[1:]))])
                for name, array in batch.items()
            }
        yield batch


def without_padding(found: Mapping[str, Sequence[npt.NDArray[Any]]], count: int) -> Arrays:
    """The samples of all batches, stacked, without those behind the ``count``-th."""
    arrays = {name: np.asarray(rows) for name, rows in found.items()}
    padding = len(next(iter(arrays.values()), ())) - count
    return {name: array[:-padding] for name, array in arrays.items()} if padding > 0 else arrays
