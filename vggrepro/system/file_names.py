"""Names of files that come from other files."""

from __future__ import annotations

import errno
import os
from os import PathLike
from pathlib import Path


def file_path(name: str | PathLike[str]) -> Path:
    """The path of a name. Raises OSError for one with a NUL character, where the system's own functions raise
    ValueError: no file can have such a name."""
    path = Path(name)
    if "\0" in str(path):
        raise OSError(errno.EINVAL, "a file name with a NUL character", os.fspath(name))
    return path
