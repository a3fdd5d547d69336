"""Names of files: what they end in, and those that no file here can have."""

from __future__ import annotations

import errno
import os
import re
from itertools import islice
from os import PathLike
from pathlib import Path

from vggrepro.errors import did_you_mean

WEIGHT_ENDINGS = (".caffemodel", ".h5", ".hdf5")
"""What the names of files of weights end in."""

_MOST = 2000
"""How many files of a folder are looked at for one with a close name."""
_ADDRESS = re.compile(r"(https?|ftp|s3|gs):/", re.IGNORECASE)
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


def file_path(name: str | PathLike[str]) -> Path:
    """The path of a name. Raises OSError for names that no file can have: an empty one, which Python takes
    for the working directory, one with a NUL character, where the system's functions raise ValueError, and a
    text that ends as a folder's name does, of which a Path forgets the end."""
    path = Path(name)
    if not os.fspath(name):
        raise OSError(errno.ENOENT, "an empty file name", "")
    if "\0" in str(path):
        raise OSError(errno.EINVAL, "a file name with a NUL character", os.fspath(name))
    if os.path.basename(name) in ("", ".") and not foreign(name):  # noqa: PTH119
        raise OSError(errno.EISDIR, "the name of a folder, expected a file's", os.fspath(name))
    return path


def is_utf8(name: str) -> bool:
    """Whether a name has no bytes that are no UTF-8, which Python keeps as surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def failure(error: OSError) -> str:
    """What the system says of a failure; of a missing file also which one beside it has a close name, where a
    link points to, and what a name is that no file here can have; of a folder that cannot be made because a
    file has its name, that; of a missing file without a name, whether it is the working directory."""
    if isinstance(error, FileExistsError):  # of making folders, where a folder that exists is none
        return "exists, and is no folder"
    if isinstance(error, FileNotFoundError) and error.filename is None and not _has_working_directory():
        return "the working directory is gone"
    words = error.strerror or str(error)
    if not isinstance(error, FileNotFoundError) or not isinstance(error.filename, str | PathLike):
        return words
    return words + (foreign(error.filename) or _close_name(Path(error.filename)))


def _has_working_directory() -> bool:
    try:
        return bool(Path.cwd())
    except OSError:
        return False


def foreign(name: str | PathLike[str]) -> str:
    """The end of a message about a name that is an address or a path of Windows, or nothing."""
    text = os.fspath(name)
    if _ADDRESS.match(text):
        return "; this is an address: download the file first"
    return (
        "; this is a path of Windows: here / stands between folders, and drives have no letter"
        if _DRIVE.match(text)
        else ""
    )


def _close_name(path: Path) -> str:
    if path.is_symlink():
        return f"; it is a link to {str(path.readlink())!r}"
    try:
        beside = [other.name for other in islice(path.parent.iterdir(), _MOST)]
        return did_you_mean(path.name, beside)
    except OSError:
        return ""
