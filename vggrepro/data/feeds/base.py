"""What every feed offers, and what the parsing of their layers shares."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.data.choices import Exif
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


@dataclass(frozen=True)
class DataLayer:
    """The ``LayerParameter`` of a data layer, and how it is read: its paths begin in ``folder``, ``exif``
    concerns image files, ``max_pixels`` is the most that an image may have."""

    param: Any
    phase: int
    seed: int
    folder: Path
    exif: Exif
    max_pixels: int

    @property
    def where(self) -> str:
        """The layer, for messages."""
        return f"layer {self.param.name!r}"

    @property
    def tops(self) -> tuple[str, ...]:
        return tuple(self.param.top)


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
