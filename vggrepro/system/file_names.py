"""Names of files that come from other files."""

from __future__ import annotations

import errno
import os
from os import PathLike
from pathlib import Path

from vggrepro.errors import did_you_mean


def file_path(name: str | PathLike[str]) -> Path:
    """The path of a name. Raises OSError for one with a NUL character, where the system's own functions raise
    ValueError: no file can have such a name."""
    path = Path(name)
    if "\0" in str(path):
        raise OSError(errno.EINVAL, "a file name with a NUL character", os.fspath(name))
    return path


def failure(error: OSError) -> str:
    """What the system says of a failure; of a missing file also which one beside it has a close name."""
    words = error.strerror or str(error)
    if not isinstance(error, FileNotFoundError) or not isinstance(error.filename, str | PathLike):
        return words
    path = Path(error.filename)
    try:
        return words + did_you_mean(path.name, [beside.name for beside in path.parent.iterdir()])
    except OSError:
        return words
