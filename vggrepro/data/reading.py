"""Decoding many images in threads, and what happens to those that cannot be decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from vggrepro.data.choices import MAX_PIXELS, Exif, OnBadImage
from vggrepro.data.decode import Pixels
from vggrepro.errors import DataError, ImageTooLargeError
from vggrepro.system.threads import default_threads, ordered_map

if TYPE_CHECKING:
    from vggrepro.data.sources.base import Source

R = TypeVar("R")


class BadImages:
    """The images of a run that could not be decoded, or only in part: named, never passed over.

    With ``error`` the first unreadable image ends the run; with ``skip`` it is left out. A truncated
    JPEG is used as Caffe would use it, with mid-grey where data are missing, under both.
    """

    def __init__(self, policy: OnBadImage = "error") -> None:
        self.policy = policy
        self._lock = Lock()
        self._unreadable: dict[str, str] = {}
        self._truncated: set[str] = set()

    def unreadable(self, key: str, problem: DataError) -> None:
        """Note an image that cannot be decoded. Raises the problem itself under ``error``."""
        if self.policy == "error":
            raise problem
        with self._lock:
            self._unreadable[key] = str(problem)

    def truncated(self, key: str) -> None:
        """Note an image whose file ends early."""
        with self._lock:
            self._truncated.add(key)

    def report(self) -> dict[str, Any]:
        """For the result file: counts and names, sorted."""
        with self._lock:
            return {
                "policy": self.policy,
                "unreadable": {key: self._unreadable[key] for key in sorted(self._unreadable)},
                "truncated": sorted(self._truncated),
            }

    def summary(self) -> str | None:
        """One sentence for the user, None if all images were good."""
        parts = []
        if self._unreadable:
            first = min(self._unreadable)
            parts.append(f"{len(self._unreadable)} unreadable images left out ({first}, ...)")
        if self._truncated:
            first = min(self._truncated)
            parts.append(f"{len(self._truncated)} truncated images used as far as they go ({first}, ...)")
        return "; ".join(parts) or None


@dataclass(frozen=True)
class Reader:
    """How images of a source are decoded: one setting for a whole run."""

    source: Source
    bad: BadImages
    exif: Exif = "ignore"
    max_pixels: int = MAX_PIXELS

    def pixels(self, index: int) -> Pixels | None:
        """The image as uint8 (H, W, 3), B, G, R; None if it cannot be read and is to be skipped."""
        try:
            decoded = self.source.decoded(index, exif=self.exif, max_pixels=self.max_pixels)
        except DataError as problem:
            self.bad.unreadable(self.source.key(index), problem)
            return None
        if decoded.truncated:
            self.bad.truncated(self.source.key(index))
        return decoded.pixels

    def prepared(self, index: int, prepare: Callable[[Pixels], R]) -> tuple[R] | None:
        """``prepare`` of an image's pixels, in a tuple; None if the image is to be skipped. One that is too
        large once it is rescaled is treated as one that cannot be read."""
        pixels = self.pixels(index)
        if pixels is None:
            return None
        try:
            return (prepare(pixels),)
        except ImageTooLargeError as problem:
            named = ImageTooLargeError(f"{self.source.place(index)}: {problem}")
            self.bad.unreadable(self.source.key(index), named)
            return None

    def each(
        self,
        indices: Iterable[int],
        prepare: Callable[[Pixels], R],
        *,
        threads: int | None = None,
        ahead: int | None = None,
    ) -> Iterator[tuple[int, R]]:
        """Yield ``(index, prepare(pixels))`` in the order of ``indices``, skipped images left out.

        Reading, decoding and ``prepare`` run in threads (all processors if None); at most ``ahead``
        images are held.
        """

        def load(index: int) -> tuple[int, R] | None:
            prepared = self.prepared(index, prepare)
            return None if prepared is None else (index, prepared[0])

        threads = default_threads() if threads is None else threads
        for loaded in ordered_map(load, indices, threads=threads, ahead=ahead):
            if loaded is not None:
                yield loaded
