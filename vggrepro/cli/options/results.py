"""Where results go: ``--output`` and ``--json``."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vggrepro.cli.options.read import Options
from vggrepro.cli.options.values import result_file
from vggrepro.errors import OptionError
from vggrepro.system.file_names import file_path, foreign

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def add_output_option(options: Options, what: str, *, required: bool = True) -> None:
    """Add ``--output``. ``what`` is written there."""
    options.add_argument("-o", "--output", type=result_file, required=required, metavar="FILE", help=what)


def add_json_option(options: Options) -> None:
    """Add ``--json``."""
    options.add_argument("--json", type=result_file, metavar="FILE", help="write the results as JSON")


def check_outputs(*paths: Path | None, options: DataclassInstance | None = None) -> None:
    """Refuse, before any work is done, results that could not be written or would destroy something.

    ``paths`` are where the results go; ``options`` is the command line, in which they are fields: whatever
    file another of its fields names is read, and must not be overwritten. Raises OSError for a file that
    cannot be written, OptionError for one that is also read and for two results in one file.
    """
    outputs = [path for path in paths if path is not None]
    for path in outputs:
        _check_writable(path)
    files = [path for path in outputs if path.is_file() or not path.exists()]  # and not a device or a pipe
    for number, path in enumerate(files):
        if any(_same(path, other) for other in files[:number]):
            raise OptionError(f"{path}: two results cannot go to one file: give each its own")
    for read in _files_read(options, outputs) if options is not None else ():
        for path in files:
            if _same(path, read):
                raise OptionError(f"{path}: is read, and would be overwritten: give the result another name")


def _check_writable(path: Path) -> None:
    """Raise OSError for a file that cannot be written, also through a link."""
    if foreign(path):
        raise OptionError(f"{path}: no file here can have this name{foreign(path)}")
    target = Path(os.path.realpath(file_path(path)))
    if target.is_dir():
        raise _os_error(errno.EISDIR, path)
    if not target.parent.is_dir():
        folder = target.parent if path.is_symlink() else path.parent
        raise _os_error(errno.ENOTDIR if folder.exists() else errno.ENOENT, folder)
    if len(os.fsencode(target.name)) > os.pathconf(target.parent, "PC_NAME_MAX"):
        raise _os_error(errno.ENAMETOOLONG, path)
    if target.exists() and not os.access(target, os.W_OK):
        raise _os_error(errno.EACCES, path)
    if not (target.exists() and not target.is_file()) and not os.access(target.parent, os.W_OK):
        raise _os_error(errno.EACCES, path.parent)


def _same(one: Path, other: Path) -> bool:
    """Whether two names are of one file, through links too."""
    if one.exists() and other.exists():
        return one.samefile(other)
    return os.path.realpath(one) == os.path.realpath(other)


_NAMED_BY_TEXT = ("prototxt", "caffemodel", "file", "logs", "weights", "deploy")
"""Fields whose texts name files, with ``NAME=`` before some; all fields that are paths do."""


def _files_read(options: DataclassInstance, outputs: Sequence[Path]) -> Iterator[Path]:
    """The files that the fields of the options name, in nested ones too, but for those of ``outputs``."""
    for field in fields(options):
        value = getattr(options, field.name)
        for one in value if isinstance(value, tuple) else (value,):
            if is_dataclass(one) and not isinstance(one, type):
                yield from _files_read(one, outputs)
            elif isinstance(one, Path) and not any(one is output for output in outputs):
                yield one
            elif isinstance(one, str) and field.name in _NAMED_BY_TEXT:
                yield from (Path(one), Path(one.partition("=")[2] or one))


def _os_error(number: int, path: Path) -> OSError:
    return OSError(number, os.strerror(number), str(path))
