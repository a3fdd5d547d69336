"""What every feed offers, and what the parsing of their layers shares."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.data.random_streams import Purpose, stream
from vggrepro.errors import DataError

Float32 = npt.NDArray[np.float32]


class Feed(ABC):
    """The batches of one data layer. Safe to ask from several threads."""

    @abstractmethod
    def batch(self, iteration: int) -> dict[str, Float32]:
        """The tops by name, float32, for an iteration (from 0). Raises DataError."""

    @abstractmethod
    def place(self, iteration: int, row: int) -> str:
        """Where an example of an iteration's batch comes from, for messages: file and line, key or row."""


def batch_size(layer_param: Any, where: str) -> int:
    """``batch_size`` of a data layer's own parameters. Raises DataError unless it is positive."""
    if layer_param.batch_size < 1:
        raise DataError(f"{where}: Positive batch size required")
    return int(layer_param.batch_size)


def random_skip(layer_param: Any, seed: int) -> int:
    """How many images ``rand_skip`` leaves out at the start: drawn once, below its value."""
    if layer_param.rand_skip == 0:
        return 0
    return int(stream(seed, Purpose.SKIP).integers(layer_param.rand_skip))
