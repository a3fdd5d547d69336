"""Writing a file so that its name never stands for a half-written one."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import IO, Any


@contextmanager
def replacing(path: str | PathLike[str]) -> Iterator[IO[bytes]]:
    """A file open for writing that takes the place of ``path`` when the block ends well.

    Until then it is a hidden neighbour of ``path``; if the block raises, it is removed and ``path``
    stays as it was. Its content is on the disk before it takes its name. Raises OSError.
    """
    with replacing_path(path) as temporary, temporary.open("wb") as file:
        yield file


def write_json(path: str | PathLike[str], content: Any) -> None:
    """Replace a file by ``content`` as JSON. Raises OSError."""
    with replacing(path) as file:
        file.write((json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode("utf-8"))


@contextmanager
def replacing_path(path: str | PathLike[str]) -> Iterator[Path]:
    """As :func:`replacing`, for libraries that open the file themselves: the path to write to."""
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():  # a device or a pipe: nothing to replace
        yield target
        return
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(6)}.tmp")
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.filename == str(temporary):
            error.filename = os.fspath(path)  # the name that the caller knows
        raise
    _sync(target.parent)


def _sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    if os.name == "nt" and path.is_dir():  # Windows cannot open folders
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
