"""The kept index of a tar: a file with the keys, offsets and sizes of its images."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt

from vggrepro.data.sources.tar_members import BLOCK, is_header
from vggrepro.errors import DataError
from vggrepro.system.atomic import replacing
from vggrepro.system.npz import UNREADABLE_NPZ

Table = tuple[Sequence[str], npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""Keys in ascending order, offsets and sizes in bytes."""

_SEPARATOR = "\0"  # the only character that no name in a tar has

_LOOKED_AT = 16
"""Images of an index before which the tar is looked at."""

_UNREADABLE = (*UNREADABLE_NPZ, MemoryError)
"""What a damaged index raises: its sizes may be damaged too."""


class StoredKeys(Sequence[str]):
    """Keys as an index stores them, each decoded when it is asked for: 1.3 million take 50 MB of memory, and
    120 MB as separate strings. Equal to any sequence of the same keys."""

    def __init__(self, text: npt.NDArray[np.uint8]) -> None:
        """``text`` holds UTF-8 with separators between the keys."""
        self._text = text
        self._ends = np.append(np.flatnonzero(text == ord(_SEPARATOR)), len(text))

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...

    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        place = range(len(self))[index]
        if isinstance(place, range):
            return tuple(self[one] for one in place)
        begin = int(self._ends[place - 1]) + 1 if place else 0
        return self._text[begin : self._ends[place]].tobytes().decode("utf-8", "surrogateescape")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]


def load_index(index: Path, stamp: npt.NDArray[np.int64], tar: int) -> Table | None:
    """What an earlier run found in the tar whose size and time are ``stamp``, open as descriptor ``tar``.

    None if there is nothing, or what belongs to another tar, or what is damaged, which a warning says. Raises
    DataError if the file is something else, which shall not be overwritten.
    """
    try:
        with np.load(index, allow_pickle=False) as stored:
            fields = {name: stored[name] for name in ("stamp", "keys", "offsets", "sizes")}
    except FileNotFoundError:
        return None
    except KeyError as error:  # another archive, whole
        raise DataError(f"{index}: not an index of a tar ({error}): give --tar-index another file") from error
    except _UNREADABLE as error:
        problem: str | None = str(error)
        if not _is_ours(index):
            raise DataError(
                f"{index}: not an index of a tar ({error}): give --tar-index another file"
            ) from error
    else:
        if not np.array_equal(fields["stamp"], stamp):
            return None
        table: Table = StoredKeys(fields["keys"]), fields["offsets"], fields["sizes"]
        problem = _problem(table, int(stamp[0]), tar)
        if problem is None:
            return table
    warnings.warn(f"{index}: a damaged index of a tar, made anew: {problem}", stacklevel=3)
    return None


def _is_ours(index: Path) -> bool:
    """Whether a file that cannot be read as an index may be one that was damaged: an archive, or empty."""
    try:
        with index.open("rb") as file:
            return file.read(2) in (b"PK", b"")
    except OSError:
        return False


def _problem(table: Table, tar_size: int, tar: int) -> str | None:
    """What is wrong with an index, None if it fits the tar: every image lies in it, and before some of them
    there is a header, as the first time."""
    keys, offsets, sizes = table
    if not offsets.shape == sizes.shape == (len(keys),) or not offsets.dtype == sizes.dtype == np.int64:
        return f"{len(keys)} keys, offsets {offsets.shape}, sizes {sizes.shape}"
    inside = (offsets >= BLOCK) & (sizes >= 0) & (offsets <= tar_size) & (sizes <= tar_size - offsets)
    if not inside.all():
        return f"{keys[int(inside.argmin())]!r} would leave the tar"
    if any(not before < key for before, key in pairwise(keys)):
        return "its keys are not in order"
    for offset in offsets[:: -(-len(keys) // _LOOKED_AT)].tolist():
        if not is_header(os.pread(tar, BLOCK, offset - BLOCK)):
            return f"no header before byte {offset} of the tar"
    return None


def save_index(index: Path, stamp: npt.NDArray[np.int64], table: Table) -> None:
    """Write what was found in the tar whose size and time are ``stamp``."""
    keys, offsets, sizes = table
    names = np.frombuffer(_SEPARATOR.join(keys).encode("utf-8", "surrogateescape"), np.uint8)
    with replacing(index) as file:
        np.savez(file, stamp=stamp, keys=names, offsets=offsets, sizes=sizes)
