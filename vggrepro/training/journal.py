"""A run's log: one JSON object a line in a file, and lines for people on stderr."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from vggrepro.errors import DataError
from vggrepro.system.json_text import parsed_json
from vggrepro.system.lines import append_whole, cut_torn_line
from vggrepro.system.lock import lock_descriptor
from vggrepro.system.notes import note
from vggrepro.system.progress import EVERY, Clock
from vggrepro.system.terminal import escaped

_BEGIN = b'{"event"'
"""What every line of a journal begins with."""

_LONGEST = 1 << 20
"""Bytes that a journal's first line has at most."""


class Journal:
    """Events of a run. Without a ``path`` nothing is kept; a ``silent`` one (of a rank that is not the
    first) does nothing at all.

    An existing journal is continued; a last line that a killed run left unfinished is cut off first. Every
    event is on its line as a whole or not at all. A new file that got no event goes when it is closed. Raises
    DataError for a file that is no journal, which stays as it was, LockError if another run is writing it,
    OSError.
    """

    def __init__(
        self, path: Path | None = None, *, silent: bool = False, clock: Clock = time.monotonic
    ) -> None:
        self._silent = silent
        self._clock, self._said = clock, clock()
        self._descriptor: int | None = None
        if path is not None and not silent:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._path, self._is_new = path, not path.exists()
            self._descriptor = _open_journal(path)

    def event(self, kind: str, iteration: int, **fields: Any) -> None:
        """Write one line: ``event``, ``iteration``, ``time`` (seconds since 1970) and ``fields``. Raises
        OSError, and leaves no part of the line, where it cannot be written."""
        if self._descriptor is not None:
            entry = {"event": kind, "iteration": iteration, "time": round(time.time(), 3), **fields}
            try:
                append_whole(self._descriptor, (json.dumps(entry) + "\n").encode())
            except OSError as error:
                error.filename = str(self._path)
                raise

    def say(self, text: str) -> None:
        """Print a line for people, which ``--quiet`` leaves out."""
        self._said = self._clock()
        if not self._silent:
            note(text)

    def say_alive(self, text: str) -> None:
        """Print a line for people, if there was none for 30 seconds."""
        if self._clock() - self._said >= EVERY:
            self.say(text)

    def warn(self, text: str) -> None:
        """Print a warning for people."""
        if not self._silent:
            print(f"warning: {escaped(text)}", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._descriptor is not None:
            if self._is_new and not os.fstat(self._descriptor).st_size:
                with contextlib.suppress(OSError):  # Windows removes no file that is open
                    self._path.unlink()
            os.close(self._descriptor)
            self._descriptor = None


def _open_journal(path: Path) -> int:
    """A descriptor that appends to a journal, which is locked. A device or a pipe takes lines as it is."""
    regular = path.is_file() or not path.exists()
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | (os.O_CREAT if regular else 0), 0o666)
    try:
        if regular:
            lock_descriptor(descriptor, path, "the log")
            _check_is_journal(path)
            cut_torn_line(path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check_is_journal(path: Path) -> None:
    """Raise DataError unless a file is empty or its first line, which may be torn, is a journal's."""
    with path.open("rb") as file:
        line = file.readline(_LONGEST)
    whole = line.endswith(b"\n")
    if not (_is_event(line) if whole else _BEGIN.startswith(line[: len(_BEGIN)])):
        raise DataError(
            f"{path}: not a training log, and left as it is: its first line is {line[:40]!r}, expected a JSON"
            " object with 'event' and 'iteration'"
        )


def _is_event(line: bytes) -> bool:
    try:
        entry = parsed_json(line)
    except ValueError:
        return False
    return isinstance(entry, dict) and {"event", "iteration"} <= entry.keys()


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
