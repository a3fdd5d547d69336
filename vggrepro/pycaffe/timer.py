"""``Timer``: Caffe's stopwatch."""

from __future__ import annotations

import time


class Timer:
    """Measures the time between ``start`` and ``stop``."""

    def __init__(self) -> None:
        self._begun = self._ended = time.perf_counter()

    def start(self) -> None:
        self._begun = self._ended = time.perf_counter()

    def stop(self) -> None:
        self._ended = time.perf_counter()

    @property
    def ms(self) -> float:
        """Milliseconds between the last start and stop."""
        return (self._ended - self._begun) * 1000
