"""What a net's outputs tell people: every element of every output, as Caffe prints them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

OutputValues = dict[str, "float | list[float]"]
"""By blob: the number of an output with one element, the numbers of another in C's order."""


def value_of(array: npt.NDArray[Any]) -> float | list[float]:
    """An output's value."""
    flat = np.asarray(array, np.float64).reshape(-1).tolist()
    return float(flat[0]) if len(flat) == 1 else [float(element) for element in flat]


def named_elements(values: Mapping[str, float | list[float]]) -> Iterator[tuple[str, float]]:
    """Each element with a name: the blob's, and behind it the index in brackets where there are several."""
    for name, value in values.items():
        if isinstance(value, list):
            yield from ((f"{name}[{index}]", element) for index, element in enumerate(value))
        else:
            yield name, value
