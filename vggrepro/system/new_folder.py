"""Folders that appear under their name only when they are complete."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vggrepro.errors import DataError
from vggrepro.system.atomic import shortened


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A hidden folder beside ``path``, which takes that name when the block ends without an exception, and is
    removed otherwise.

    Raises DataError if there is something of that name already, or in the end; OSError, which names ``path``,
    where no folder can be made.
    """
    if path.exists() or path.is_symlink():
        raise _exists(path)
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{shortened(path.name)}.", suffix=".tmp", dir=path.parent))
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    try:
        yield temporary
        temporary.chmod(0o755)
        try:
            temporary.rename(path)
        except OSError as error:  # another process has made it meanwhile
            if os.path.lexists(path):
                raise _exists(path) from error
            raise OSError(error.errno, error.strerror, str(path)) from None
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _exists(path: Path) -> DataError:
    return DataError(f"{path}: exists already, expected a new name")
