"""Where results go: ``--output`` and ``--json``."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from vggrepro.cli.options.read import Options


def add_output_option(options: Options, what: str, *, required: bool = True) -> None:
    """Add ``--output``. ``what`` is written there."""
    options.add_argument("-o", "--output", type=Path, required=required, metavar="FILE", help=what)


def add_json_option(options: Options) -> None:
    """Add ``--json``."""
    options.add_argument("--json", type=Path, metavar="FILE", help="write the results as JSON")


def check_outputs(*paths: Path | None) -> None:
    """Raise OSError for a file that cannot be written: hours of work must not end there."""
    for path in paths:
        if path is None:
            continue
        if path.is_dir():
            raise _os_error(errno.EISDIR, path)
        if not path.parent.is_dir():
            raise _os_error(errno.ENOENT, path.parent)
        if not os.access(path.parent, os.W_OK):
            raise _os_error(errno.EACCES, path.parent)


def _os_error(number: int, path: Path) -> OSError:
    return OSError(number, os.strerror(number), str(path))
