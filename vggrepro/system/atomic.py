"""Writing files atomically: a file's name stands for the old content or for all of the new, never for a part.

The new content goes to a hidden file in the same folder, is forced to the disk, and then takes the name.
"""

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

from vggrepro.system.file_names import file_path


@contextmanager
def replacing_path(path: str | PathLike[str]) -> Iterator[Path]:
    """The path of a new file that becomes ``path`` when the block ends without an exception.

    For libraries that open files themselves. If the block raises, the new file is removed and ``path``
    stays as it was. A link stays a link: the file that it points to is replaced. A device or a pipe is
    written to directly. Raises OSError, which names ``path``.
    """
    target = Path(os.path.realpath(file_path(path)))
    if target.exists() and not target.is_file():
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


@contextmanager
def replacing(path: str | PathLike[str]) -> Iterator[IO[bytes]]:
    """A binary file, open for writing, that becomes ``path`` as :func:`replacing_path` says."""
    with replacing_path(path) as temporary, temporary.open("wb") as file:
        yield file


def write_json(path: str | PathLike[str], content: Any) -> None:
    """Write ``content`` to a file as indented JSON in UTF-8. Raises OSError."""
    with replacing(path) as file:
        file.write((json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode("utf-8"))


def _sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    if os.name == "nt" and path.is_dir():  # Windows cannot open folders
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
