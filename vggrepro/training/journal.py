"""A run's log: one JSON object a line in a file, and lines for people on stderr."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import IO, Any

from vggrepro.system.lines import cut_torn_line


class Journal:
    """Events of a run. Without a ``path`` nothing is kept; a ``silent`` one (of a rank that is not the
    first) does nothing at all.

    An existing file is continued; a last line that a killed run left unfinished is cut off first.
    """

    def __init__(self, path: Path | None = None, *, silent: bool = False) -> None:
        self._silent = silent
        self._file: IO[str] | None = None
        if path is not None and not silent:
            path.parent.mkdir(parents=True, exist_ok=True)
            cut_torn_line(path)
            self._file = path.open("a", encoding="utf-8")

    def event(self, kind: str, iteration: int, **fields: Any) -> None:
        """Write one line: ``event``, ``iteration``, ``time`` (seconds since 1970) and ``fields``."""
        if self._file is not None:
            entry = {"event": kind, "iteration": iteration, "time": round(time.time(), 3), **fields}
            self._file.write(json.dumps(entry) + "\n")
            self._file.flush()

    def say(self, text: str) -> None:
        """Print a line for people."""
        if not self._silent:
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


class Meter:
    """Speed of a run: images per second between two displays, and the time that is left."""

    def __init__(self, images: int, iteration: int, last: int) -> None:
        """``images`` an iteration; the run begins at ``iteration`` and ends at ``last``."""
        self._images = images
        self._first, self._last = iteration, last
        self._begin = time.perf_counter()
        self._steps = 0
        self._seconds = 0.0
        self._waited = 0.0

    def step(self, seconds: float, waited: float) -> None:
        """Count an iteration of ``seconds``, of which ``waited`` went by without data."""
        self._steps += 1
        self._seconds += seconds
        self._waited += waited

    def take(self, iteration: int) -> dict[str, float]:
        """``images_per_s``, ``data_wait`` (a fraction) and ``seconds_left``, since the last call."""
        elapsed = time.perf_counter() - self._begin
        left = elapsed / max(iteration - self._first, 1) * (self._last - iteration)
        seconds = max(self._seconds, 1e-9)
        result = {
            "images_per_s": round(self._images * self._steps / seconds, 3),
            "data_wait": round(self._waited / seconds, 4),
            "seconds_left": round(left, 1),
        }
        self._steps, self._seconds, self._waited = 0, 0.0, 0.0
        return result


def duration(seconds: float) -> str:
    """``2 d 03:04:05``."""
    days, rest = divmod(round(seconds), 86400)
    hours, rest = divmod(rest, 3600)
    clock = f"{hours:02}:{rest // 60:02}:{rest % 60:02}"
    return f"{days} d {clock}" if days else clock
