"""The view cache: log posteriors per image and view, or rows of another kind, on disk, for resuming and for
averaging again.

A cache is a folder that belongs to one listing of images. Each stream (network, kind of view, scale, flip)
has a subfolder with ``log_posteriors.npy`` (N, V, K) float32, ``states.npy`` (N,) uint8 and ``manifest.json``
with everything that the numbers depend on. Rows are written where they belong, so several ranks fill one
stream and an unfilled part takes no room on disk. A row counts once its state says so, and the state is
written only after the row has reached the disk: a killed run loses the last second, never a wrong number.
A row that is done counts only while it is intact (its posteriors sum to 1): what a disk has lost is measured
again.
"""

from __future__ import annotations

import json
import re
import time
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.data.arrays import Ints
from vggrepro.errors import LockError, ProtocolError
from vggrepro.evaluation.measuring.image_notes import ImageNotes
from vggrepro.evaluation.measuring.npy_rows import NpyRows, create_npy, mend_npy
from vggrepro.evaluation.measuring.row_kind import POSTERIORS, RowKind
from vggrepro.evaluation.protocols import Stream
from vggrepro.system.atomic import remove_leftovers, replacing, sync_folder
from vggrepro.system.json_text import parsed_json
from vggrepro.system.lock import holder_of, locked

_FORMAT = 1

PENDING, DONE, BAD = 0, 1, 2
"""States of a row. BAD: the image cannot be decoded, ``notes.jsonl`` says why."""

_FLUSH_SECONDS = 1.0
_CHECKED_BYTES = 16 << 20
"""Bytes of rows that are looked at at a time."""


class StreamCache:
    """The log posteriors, or rows of another ``kind``, of one stream, (V, K) for each image. ``path`` is the
    stream's subfolder; it must exist (see :meth:`ViewCache.create`). What other processes mark after it is
    opened is not seen."""

    def __init__(self, path: Path, kind: RowKind = POSTERIORS) -> None:
        self.path = path
        self._kind = kind
        with ExitStack() as stack:
            self._rows = NpyRows(path / kind.file)
            stack.callback(self._rows.close)
            self._states = NpyRows(path / "states.npy")
            stack.callback(self._states.close)
            self._known: npt.NDArray[np.uint8] = self._states.read_all()
            self._known[self._known > BAD] = PENDING
            self._files = stack.pop_all()
        self._waiting: list[tuple[int, int]] = []
        self._flushed = time.monotonic()

    @property
    def row_bytes(self) -> int:
        """Bytes of one image's row."""
        return self._rows.row_bytes

    def states(self, indexes: Ints) -> npt.NDArray[np.uint8]:
        """PENDING, DONE or BAD of the images at ``indexes``."""
        found: npt.NDArray[np.uint8] = self._known[indexes]
        return found

    def write(self, index: int, views: npt.NDArray[np.float32]) -> None:
        """Put image ``index``'s row (V, K) in place; it counts as done from the next flush on."""
        self._rows.write(index, views)
        self._mark(index, DONE)

    def write_bad(self, index: int) -> None:
        """Image ``index`` has no row and never will."""
        self._mark(index, BAD)

    def _mark(self, index: int, state: int) -> None:
        self._waiting.append((index, state))
        if time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Bring rows, and then their states, to the disk. Rows that do not get there stay pending. Raises
        OSError."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._rows.sync()
            self._set_states(waiting)
        self._flushed = time.monotonic()

    def _set_states(self, states: list[tuple[int, int]]) -> None:
        for index, state in states:
            self._states.write(index, np.uint8(state))
        self._states.sync()
        for index, state in states:
            self._known[index] = state

    def forget(self, indexes: Ints) -> None:
        """Count images as pending again. Raises OSError."""
        self._set_states([(int(index), PENDING) for index in indexes])

    def damaged(self, indexes: Ints) -> Ints:
        """Those of the images that are done by their state and not by their row, which is not intact. Raises
        OSError."""
        done = indexes[self.states(indexes) == DONE]
        step = max(_CHECKED_BYTES // max(self.row_bytes, 1), 1)
        pieces = [done[at : at + step] for at in range(0, len(done), step)]
        wrong = [piece[~self._kind.intact(self._rows.read(piece))] for piece in pieces]
        return np.concatenate([np.empty(0, np.int64), *wrong])

    def read(self, indexes: Ints) -> npt.NDArray[np.float32]:
        """Rows (n, V, K) of images that are done. Raises ProtocolError if one is not."""
        missing = indexes[self.states(indexes) != DONE]
        if len(missing):
            raise ProtocolError(f"{self.path}: image number {int(missing[0])} has not been evaluated")
        return self._rows.read(indexes)

    def close(self) -> None:
        with self._files:
            self.flush()


class ViewCache:
    """A cache folder, locked by the run that fills it. Use as a context manager.

    ``header`` identifies the images, ``images`` is their number, ``kind`` says what rows hold. Without
    ``keep_views`` each image has one row in a stream, the mean over its views: enough for every result, in a
    twenty-fifth of the room for the 5x5 grid. With ``lock``, which the first rank gives alone, the folder is
    locked. Raises ProtocolError if it belongs to other images or if another run is using it.
    """

    def __init__(
        self,
        root: Path,
        header: Mapping[str, Any],
        images: int,
        *,
        keep_views: bool = True,
        lock: bool = True,
        kind: RowKind = POSTERIORS,
    ) -> None:
        self.root = root
        self.images = images
        self.keep_views = keep_views and kind.keeps_views
        self.kind = kind
        self._header = {"format": _FORMAT, "images": images, **kind.header, **header}
        self._wants_lock = lock
        self._held = ExitStack()
        self._notes = ImageNotes(root / "notes.jsonl")

    def __enter__(self) -> ViewCache:
        self.root.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            if self._wants_lock:
                stack.enter_context(self._lock())
                remove_leftovers(self.root, bool)
            if _stored_manifest(self.root / "manifest.json") is None:
                self._begin()
            _compare_manifest(self.root / "manifest.json", self._header)
            if self._wants_lock:
                self._forget(self._notes.mend())
            self._held = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    @contextmanager
    def _lock(self) -> Iterator[None]:
        path = self.root / "lock"
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(path, "this cache"))
            except LockError:
                raise ProtocolError(
                    f"{self.root}: another run is using this cache{holder_of(path)}"
                ) from None
            yield

    def _begin(self) -> None:
        """Write the manifest of a folder that has none. What a cache has there without it is of images that
        nobody knows: it does not count. Raises ProtocolError for notes that are no cache's."""
        streams = sorted(path.parent for path in self.root.glob(f"*/{self.kind.file}"))
        if streams:
            _warn(f"{self.root / 'manifest.json'}: missing or empty: everything is measured again")
            for stream in streams:
                (stream / "states.npy").unlink(missing_ok=True)
                (stream / "manifest.json").unlink(missing_ok=True)
            self._notes.path.unlink(missing_ok=True)
        elif self._notes.path.exists():
            raise ProtocolError(f"{self.root}: not a cache: has {self._notes.path.name} and no manifest.json")
        _write_manifest(self.root / "manifest.json", self._header)

    def _forget(self, images: Collection[int]) -> None:
        """Count images as pending in all streams."""
        known = np.asarray([index for index in sorted(images) if index < self.images], np.int64)
        for path in sorted(self.root.glob("*/states.npy")) if len(known) else ():
            store = StreamCache(path.parent, self.kind)
            store.forget(known)
            store.close()

    def create(self, stream: Stream, width: int, facts: Mapping[str, Any]) -> None:
        """Make the stream's subfolder, or check that the one there holds the same thing. ``width`` is the
        number of values of a view, of posteriors that of classes. ``facts`` is what they depend on: hashes of
        weights and prototxt, preprocessing.

        Raises ProtocolError that names the first difference to a stream from an earlier run.
        """
        path = self._path(stream)
        path.mkdir(exist_ok=True)
        sync_folder(self.root)
        remove_leftovers(path, bool)
        shape = (self.images, self.rows_per_image(stream), width)
        described = {"format": _FORMAT, "net": stream.net, "views": stream.view_kind, "scale": stream.scale}
        described |= {"flip": stream.flip, "average": stream.average, "shape": list(shape), **facts}
        manifest = path / "manifest.json"
        if _stored_manifest(manifest) is None:
            if (path / "states.npy").exists():
                _warn(f"{manifest}: missing or empty: the stream is measured again")
            create_npy(path / "states.npy", shape[:1], np.uint8, holes=False)
            create_npy(path / self.kind.file, shape, np.float32, holes=True)
            _write_manifest(manifest, described)
            return
        _compare_manifest(manifest, described)
        for name, dims, dtype in ((self.kind.file, shape, np.float32), ("states.npy", shape[:1], np.uint8)):
            problem = mend_npy(path / name, dims, dtype, holes=len(dims) > 1)
            if problem:
                _warn(f"{path / name}: {problem}: the images that it lacks are measured again")

    def rows_per_image(self, stream: Stream) -> int:
        """How many rows an image has in a stream: its views, or 1 where only their mean is kept."""
        return stream.view_count if self.keep_views else 1

    def open(self, stream: Stream) -> StreamCache:
        """The stream's rows; :meth:`create` must have been called for it once."""
        return StreamCache(self._path(stream), self.kind)

    def _path(self, stream: Stream) -> Path:
        return self.root / re.sub(r"[^A-Za-z0-9.-]+", "-", str(stream))

    def note(self, index: int, name: str, kind: str, reason: str) -> None:
        """Keep that an image is "bad" or "truncated" (``kind``), and the reason. Raises OSError."""
        self._notes.add(index, name, kind, reason)

    def notes(self, kind: str) -> dict[int, str]:
        """Reasons by index, of one kind, in the order of the images."""
        return self._notes.reasons(kind)


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=3)


def _stored_manifest(path: Path) -> dict[str, Any] | None:
    """What a manifest says; None where there is none, or one that lost its content (blank or zeros). Raises
    ProtocolError for anything else that is no manifest."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    if not content.strip(b"\0 \n"):
        return None
    try:
        found = parsed_json(content)
    except ValueError as error:
        raise ProtocolError(f"{path}: not a cache manifest ({error})") from error
    if not isinstance(found, dict):
        raise ProtocolError(f"{path}: not a cache manifest (no JSON object)")
    return found


def _write_manifest(path: Path, content: Mapping[str, Any]) -> None:
    with replacing(path) as file:
        file.write((json.dumps(content, indent=1, sort_keys=True) + "\n").encode())


def _compare_manifest(path: Path, expected: Mapping[str, Any]) -> None:
    found = _stored_manifest(path) or {}
    for key in sorted({*found, *expected}):
        if found.get(key) != expected.get(key):
            raise ProtocolError(
                f"{path}: the cache was made with {key} = {found.get(key)!r}, this run has"
                f" {expected.get(key)!r}; use another --cache"
            )
