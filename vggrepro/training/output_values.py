"""What a net's outputs tell people: every element of every output, as Caffe prints them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.emit import Shape
from vggrepro.errors import NetError
from vggrepro.system.ranks import Ranks

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


class OutputMeans:
    """Means over batches of an output's elements, each batch weighted by its samples. A smaller batch has the
    first rows alone."""

    def __init__(self, name: str, shape: Shape) -> None:
        self._name, self._shape = name, shape
        self.sums = np.zeros((2, *shape))  # samples, then samples times output

    def add(self, samples: int, values: npt.NDArray[Any]) -> None:
        """Take a batch's output, of the shape or with fewer rows. Raises NetError for others."""
        if values.shape[1:] != self._shape[1:] or len(values) > self._shape[0]:
            raise NetError(
                f"test output {self._name!r}: shape {values.shape} in one batch, {self._shape} in another:"
                " elements that come and go have no means (a Silence layer takes them)"
            )
        rows = self.sums[:, : len(values)]
        rows[0] += samples
        rows[1] += samples * values.astype(np.float64)

    def add_up(self, ranks: Ranks) -> None:
        """Add the sums of all ranks up."""
        ranks.add_up(self.sums)

    def scores(self) -> OutputValues:
        """The means of the elements that came, by the output's name."""
        counts, totals = self.sums.reshape(2, -1)
        return {self._name: [float(mean) for mean in totals[counts > 0] / counts[counts > 0]]}
