"""The view cache: log posteriors per image and view, on disk, for resuming and for averaging again.

A cache is a folder that belongs to one listing of images. Each stream (network, kind of view, scale, flip)
has a subfolder with ``log_posteriors.npy`` (N, V, K) float32, ``states.npy`` (N,) uint8 and ``manifest.json``
with everything that the numbers depend on. Rows are written where they belong, so several ranks fill one
stream and an unfilled part takes no room on disk. A row counts once its state says so, and the state is
written only after the row has reached the disk: a killed run loses the last second, never a wrong number.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.errors import ProtocolError
from vggrepro.evaluation.protocols import Stream
from vggrepro.system.lines import cut_torn_line

_FORMAT = 1

PENDING, DONE, BAD = 0, 1, 2
"""States of a row. BAD: the image cannot be decoded, ``notes.jsonl`` says why."""

_FLUSH_SECONDS = 1.0


class StreamCache:
    """The log posteriors of one stream, a row (V, K) for each image. ``path`` is the stream's subfolder; it
    must exist (see :meth:`ViewCache.create`)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows = _NpyRows(path / "log_posteriors.npy")
        self._states = _NpyRows(path / "states.npy")
        self._states_seen = self._states.map()
        self._waiting: list[tuple[int, int]] = []
        self._flushed = time.monotonic()

    @property
    def row_bytes(self) -> int:
        """Bytes of one image's log posteriors."""
        return self._rows.row_bytes

    def states(self, indexes: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """PENDING, DONE or BAD of the images at ``indexes``."""
        found: npt.NDArray[np.uint8] = self._states_seen[indexes]
        return found

    def write(self, index: int, views: npt.NDArray[np.float32]) -> None:
        """Put image ``index``'s log posteriors (V, K) in place; it counts as done from the next flush on."""
        self._rows.write(index, views)
        self._mark(index, DONE)

    def write_bad(self, index: int) -> None:
        """Image ``index`` has no posteriors and never will."""
        self._mark(index, BAD)

    def _mark(self, index: int, state: int) -> None:
        self._waiting.append((index, state))
        if time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Bring rows, and then their states, to the disk."""
        if self._waiting:
            self._rows.sync()
            for index, state in self._waiting:
                self._states.write(index, np.uint8(state))
            self._states.sync()
            self._waiting.clear()
        self._flushed = time.monotonic()

    def read(self, indexes: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Log posteriors (n, V, K) of images that are done. Raises ProtocolError if one is not."""
        missing = indexes[self.states(indexes) != DONE]
        if len(missing):
            raise ProtocolError(f"{self.path}: image number {int(missing[0])} has not been evaluated")
        return self._rows.read(indexes)

    def close(self) -> None:
        self.flush()
        self._rows.close()
        self._states.close()


class _NpyRows:
    """Rows of an .npy file, written in place (pwrite: other processes write other rows meanwhile)."""

    def __init__(self, path: Path) -> None:
        array = np.load(path, mmap_mode="r")
        self.path, self.dtype, self.row_shape = path, array.dtype, array.shape[1:]
        self._offset = int(array.offset)
        self.row_bytes = int(array.dtype.itemsize * np.prod(array.shape[1:], dtype=np.int64))
        self._file = os.open(path, os.O_RDWR)

    def map(self) -> npt.NDArray[Any]:
        """The whole array, which shows what others write."""
        mapped: npt.NDArray[Any] = np.load(self.path, mmap_mode="r")
        return mapped

    def write(self, index: int, row: npt.NDArray[Any] | np.generic) -> None:
        if row.shape != self.row_shape or row.dtype != self.dtype:
            raise ProtocolError(
                f"{self.path}: got a row {row.shape} {row.dtype}, expected {self.row_shape} {self.dtype}"
            )
        os.pwrite(self._file, row.tobytes(), self._offset + index * self.row_bytes)

    def read(self, indexes: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Copies of rows: of a map, the pages would stay with this process."""
        rows = np.empty((len(indexes), *self.row_shape), self.dtype)
        for row, index in zip(rows, indexes, strict=True):
            os.preadv(self._file, [row], self._offset + int(index) * self.row_bytes)
        return rows

    def sync(self) -> None:
        os.fsync(self._file)

    def close(self) -> None:
        os.close(self._file)


class ViewCache:
    """A cache folder, locked by the run that fills it. Use as a context manager.

    ``header`` identifies the images, ``images`` is their number. Without ``keep_views`` each image has one
    row in a stream, the mean over its views: enough for every result, in a twenty-fifth of the room for the
    5x5 grid. With ``lock``, which the first rank gives alone, the folder is locked. Raises ProtocolError if
    it belongs to other images or if another run is using it.
    """

    def __init__(
        self,
        root: Path,
        header: Mapping[str, Any],
        images: int,
        *,
        keep_views: bool = True,
        lock: bool = True,
    ) -> None:
        self.root = root
        self.images = images
        self.keep_views = keep_views
        self._header = {"format": _FORMAT, "images": images, **header}
        self._wants_lock = lock
        self._lock: int | None = None

    def __enter__(self) -> ViewCache:
        self.root.mkdir(parents=True, exist_ok=True)
        if self._wants_lock:
            self._lock = _lock(self.root / "lock")
        try:
            _agree(self.root / "manifest.json", self._header)
            if self._wants_lock:
                # The image of a torn note is still pending, and will be noted again.
                cut_torn_line(self.root / "notes.jsonl")
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def create(self, stream: Stream, classes: int, facts: Mapping[str, Any]) -> None:
        """Make the stream's subfolder, or check that the one there holds the same thing. ``facts`` is what
        its numbers depend on: hashes of weights and prototxt, preprocessing.

        Raises ProtocolError that names the first difference to a stream from an earlier run.
        """
        path = self._path(stream)
        path.mkdir(exist_ok=True)
        shape = (self.images, self.rows_per_image(stream), classes)
        described = {"format": _FORMAT, "net": stream.net, "views": stream.view_kind, "scale": stream.scale}
        described |= {"flip": stream.flip, "average": stream.average, "shape": list(shape)}
        _agree(path / "manifest.json", {**described, **facts})
        for name, dims, dtype in (("log_posteriors", shape, np.float32), ("states", shape[:1], np.uint8)):
            if not (path / f"{name}.npy").exists():
                _create_npy(path / f"{name}.npy", dims, dtype)

    def rows_per_image(self, stream: Stream) -> int:
        """How many rows an image has in a stream: its views, or 1 where only their mean is kept."""
        return stream.view_count if self.keep_views else 1

    def open(self, stream: Stream) -> StreamCache:
        """The stream's rows; :meth:`create` must have been called for it once."""
        return StreamCache(self._path(stream))

    def _path(self, stream: Stream) -> Path:
        return self.root / re.sub(r"[^A-Za-z0-9.-]+", "-", str(stream))

    def note(self, index: int, name: str, kind: str, reason: str) -> None:
        """Append to ``notes.jsonl`` that an image is "bad" or "truncated" (``kind``), and the reason. A call
        writes one short line at once, so that lines of several ranks do not mix."""
        line = json.dumps({"index": index, "name": name, "kind": kind, "reason": reason}) + "\n"
        with (self.root / "notes.jsonl").open("a", encoding="utf-8") as file:
            file.write(line)

    def notes(self, kind: str) -> dict[int, str]:
        """Reasons by index, of one kind, in the order of the images."""
        path = self.root / "notes.jsonl"
        if not path.exists():
            return {}
        entries = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        return dict(sorted((e["index"], e["reason"]) for e in entries if e["kind"] == kind))


def _lock(path: Path) -> int:
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise ProtocolError(f"{path.parent}: another run is using this cache") from None
    return file


def _create_npy(path: Path, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
    """A zeroed .npy that appears whole or not at all; its zeros take no room (a sparse file)."""
    made = path.with_suffix(".new")
    np.lib.format.open_memmap(made, mode="w+", dtype=np.dtype(dtype), shape=shape)
    made.rename(path)


def _agree(path: Path, expected: Mapping[str, Any]) -> None:
    """Write a manifest, or compare with the one there."""
    if not path.exists():
        made = path.with_suffix(".new")
        made.write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n", "utf-8")
        made.rename(path)
        return
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ProtocolError(f"{path}: not a cache manifest ({error})") from error
    if not isinstance(found, dict):
        raise ProtocolError(f"{path}: not a cache manifest (no JSON object)")
    for key in sorted({*found, *expected}):
        if found.get(key) != expected.get(key):
            raise ProtocolError(
                f"{path}: the cache was made with {key} = {found.get(key)!r}, this run has"
                f" {expected.get(key)!r}; use another --cache"
            )
