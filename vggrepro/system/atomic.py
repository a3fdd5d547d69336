"""Writing files atomically: a file's name stands for the old content or for all of the new, never for a part.

The new content goes to a hidden file in the same folder, is forced to the disk, and then takes the name.
The hidden file is locked while it is written; those that killed processes have left are not, and whoever
writes the same file next takes them away.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

from vggrepro.system.background import Background
from vggrepro.system.disk_space import NO_SPACE, reserve
from vggrepro.system.file_names import file_path
from vggrepro.system.lock import try_lock

_KEPT = 100
"""Bytes of a file's name that its hidden neighbour keeps: a name may have 255."""

FORCED = 1 << 24
"""Bytes from which on what has been written is forced to the disk while more is written."""

_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{12}\.tmp", re.DOTALL)


@contextmanager
def replacing_path(path: str | PathLike[str]) -> Iterator[Path]:
    """The path of a new, empty file that becomes ``path`` when the block ends without an exception.

    For libraries that open files themselves. If the block raises, the new file is removed and ``path``
    stays as it was. A link stays a link: the file that it points to is replaced. The new file has the old
    one's rights, or those that the umask leaves. A device or a pipe is written to directly. Raises OSError,
    which names ``path``.
    """
    with replacing_paths(path) as (temporary,):
        yield temporary


@contextmanager
def replacing_paths(*paths: str | PathLike[str]) -> Iterator[tuple[Path, ...]]:
    """As :func:`replacing_path`, for files that belong together: none takes its name before all are on the
    disk. The second and later ones are removed just before, so that a process that is killed in between
    leaves no old file beside a new one."""
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(_new_file(path)) for path in paths]
        yield tuple(file.temporary for file in files)
        for file in files:
            file.sync()
        for file in files[1:]:
            file.remove_old()
        for file in files:
            file.put_in_place()


class _NewFile:
    """A file on its way to the name ``asked``. ``descriptor`` holds its lock; None for a device or a pipe."""

    def __init__(self, asked: str, target: Path, temporary: Path, descriptor: int | None) -> None:
        self.asked, self.target, self.temporary = asked, target, temporary
        self._descriptor = descriptor

    def sync(self) -> None:
        if self._descriptor is not None:
            _copy_rights(self.target, self._descriptor)
            try:
                os.fsync(self._descriptor)
            except OSError as error:
                raise OSError(error.errno, error.strerror, self.asked) from None

    def remove_old(self) -> None:
        if self._descriptor is not None:
            self.target.unlink(missing_ok=True)

    def put_in_place(self) -> None:
        if self._descriptor is not None:
            self.temporary.replace(self.target)
            sync_folder(self.target.parent)


@contextmanager
def _new_file(path: str | PathLike[str]) -> Iterator[_NewFile]:
    asked, named = os.fspath(path), file_path(path)
    if named.exists() and not named.is_file():  # of /dev/stdout, what a link says may be no path
        yield _NewFile(asked, named, named, None)
        return
    target = Path(os.path.realpath(named))
    kept = shortened(target.name)
    temporary = target.with_name(f".{kept}.{os.urandom(6).hex()}.tmp")
    with _named(asked, temporary):
        remove_leftovers(target.parent, lambda name: name == kept)
        descriptor = _created(temporary)
        try:
            yield _NewFile(asked, target, temporary, descriptor)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()  # nothing is there under this name once the file is in place
            os.close(descriptor)


@contextmanager
def _named(asked: str, temporary: Path) -> Iterator[None]:
    """OSErrors about a hidden file name the file that the caller knows."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # a library's own, as HDF5's
            raise OSError(errno.EIO, " ".join(str(error).split()), asked) from error
        unnamed = error.filename is None and error.errno in NO_SPACE
        if unnamed or str(error.filename) in (str(temporary), str(temporary.parent)):
            raise OSError(error.errno, error.strerror, asked) from error
        raise


def _created(temporary: Path) -> int:
    """A descriptor of a new, empty file, locked so that no other process takes it for a leftover."""
    while True:
        descriptor = os.open(
            temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o666
        )
        try_lock(descriptor)
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)  # taken away between its creation and its lock


def remove_leftovers(folder: Path, ours: Callable[[str], bool]) -> None:
    """Remove the hidden files that killed processes have left in a folder: those that nobody has locked, and
    of which ``ours`` says that they were for files of this process. ``ours`` gets the first 100 bytes of such
    a file's name. A folder that does not exist, or may not be listed, is left so."""
    with contextlib.suppress(OSError):
        for path in [folder / entry.name for entry in os.scandir(folder)]:
            match = _TEMPORARY.fullmatch(path.name)
            if match and ours(match[1]):
                with contextlib.suppress(OSError):
                    _remove_leftover(path)


def _remove_leftover(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        if try_lock(descriptor):
            path.unlink()
    finally:
        os.close(descriptor)


def shortened(name: str) -> str:
    """The beginning of a file's name, at most 100 bytes of whole characters."""
    while len(os.fsencode(name)) > _KEPT:
        name = name[:-1]
    return name


def _copy_rights(target: Path, descriptor: int) -> None:
    """Give an open file the mode of the file that it replaces, and its owner where this user may."""
    try:
        old = target.stat()
    except FileNotFoundError:
        return
    new = os.fstat(descriptor)
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid) and hasattr(os, "fchown"):
        with contextlib.suppress(OSError):
            os.fchown(descriptor, old.st_uid, old.st_gid)
    if hasattr(os, "fchmod"):
        os.fchmod(descriptor, stat.S_IMODE(old.st_mode))


class _Output(io.FileIO):
    """A file whose errors name the file that it will become: a full disk is told with a path.

    A thread forces what has been written to the disk, so that the disk works while more is written and little
    is left to wait for in the end. What fails in the thread fails again when :class:`_NewFile` syncs.
    """

    def __init__(self, temporary: Path, asked: str) -> None:
        self._asked, self._regular = asked, temporary.is_file()
        self._forcing: Background[None] | None = None
        self._waiting = 0
        super().__init__(temporary, "r+" if self._regular else "w")

    def write(self, data: Any, /) -> int:
        try:
            written = int(super().write(data) or 0)
            self._force(written)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._asked) from None
        return written

    def _force(self, written: int) -> None:
        """Have the thread force to the disk what it has not yet been told of, if it is enough."""
        self._waiting += written
        if self._regular and self._waiting >= FORCED and (self._forcing is None or self._forcing.ended()):
            if self._forcing is not None:
                self._forcing.result()  # raises what failed
            self._forcing, self._waiting = Background(os.fsync, self.fileno()), 0

    def reserve(self, size: int) -> None:
        try:
            reserve(self.fileno(), size)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._asked) from None

    def close(self) -> None:
        if self._forcing is not None:
            self._forcing.wait()
        super().close()


class OutputFile(io.BufferedWriter):
    """The file that :func:`replacing` gives."""

    def reserve(self, size: int) -> None:
        """Tell how many bytes will be written: where the file system can set so many aside it does, which
        takes less time than growing with every write. Raises OSError at once if there is no room for them."""
        raw = self.raw
        if isinstance(raw, _Output):
            raw.reserve(size)


@contextmanager
def replacing(path: str | PathLike[str]) -> Iterator[OutputFile]:
    """A binary file, open for writing, that becomes ``path`` as :func:`replacing_path` says."""
    with replacing_path(path) as temporary, writing(temporary, path) as file:
        yield file


@contextmanager
def writing(temporary: Path, path: str | PathLike[str]) -> Iterator[OutputFile]:
    """A hidden file that :func:`replacing_path` gave for ``path``, open for writing. Raises OSError, which
    names ``path``."""
    file = OutputFile(_Output(temporary, os.fspath(path)))
    try:
        yield file
        file.flush()
    except BaseException:
        file.raw.close()  # what is still in the buffer is not wanted any more
        raise
    file.close()


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Make a folder, with those above it that are missing. If the block raises, what was made and holds
    nothing is removed again. Raises OSError."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            for path in missing:
                path.rmdir()
        raise


def write_json(path: str | PathLike[str], content: Any) -> None:
    """Write ``content`` to a file as indented JSON in UTF-8. Raises OSError."""
    with replacing(path) as file:
        file.write(json_bytes(content))


def json_bytes(content: Any) -> bytes:
    """Indented JSON in UTF-8. What Python makes of bytes of a file name that are no UTF-8 stays, escaped."""
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def sync_folder(folder: Path) -> None:
    """Wait until a folder's list of names is on the disk."""
    if os.name == "nt":  # Windows cannot open folders
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
