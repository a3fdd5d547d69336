"""Writing files atomically: a file's name stands for the old content or for all of the new, never for a part.

The new content goes to a hidden file in the same folder, is forced to the disk, and then takes the name.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import IO, Any

from vggrepro.system.file_names import file_path

_KEPT = 100
"""Characters of a file's name that its temporary neighbour keeps: a name may have 255 bytes."""

_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{12}\.tmp", re.DOTALL)

_NO_SPACE = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
"""Failures of writing that Python raises without a file's name."""


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
    temporary = target.with_name(f".{target.name[:_KEPT]}.{secrets.token_hex(6)}.tmp")
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and _is_of(error, temporary):
            error.filename = os.fspath(path)  # the name that the caller knows
        raise
    _sync(target.parent)


@contextmanager
def replacing(path: str | PathLike[str]) -> Iterator[IO[bytes]]:
    """A binary file, open for writing, that becomes ``path`` as :func:`replacing_path` says."""
    with replacing_path(path) as temporary, temporary.open("wb") as file:
        yield file


def write_json(path: str | PathLike[str], content: Any) -> None:
    """Write ``content`` to a file as indented JSON in UTF-8. Raises OSError.

    What is no character, such as a byte of a file name that is not UTF-8, is written as JSON's escape of it,
    from which it is read again.
    """
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    with replacing(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))


def _is_of(error: OSError, temporary: Path) -> bool:
    """Whether an error is of the new file."""
    return error.filename == str(temporary) or (error.filename is None and error.errno in _NO_SPACE)


def remove_leftovers(folder: Path, ours: Callable[[str], bool]) -> None:
    """Remove the temporary files that killed processes have left in a folder, of those files alone of which
    ``ours`` says that nobody is writing them now. ``ours`` gets a name's first 100 characters. A folder that
    does not exist is left so. Raises OSError."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        match = _TEMPORARY.fullmatch(path.name)
        if match and ours(match.group(1)):
            path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    if os.name == "nt" and path.is_dir():  # Windows cannot open folders
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        os.close(descriptor)
