"""Locks between processes that die with the process that holds them."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vggrepro.errors import LockError

if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> None:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:  # Windows does not tell a held lock from other failures
            raise BlockingIOError(*error.args) from None
else:
    import fcntl

    def _try_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file ``path`` while the block runs.

    The operating system frees the lock when the process ends, however it ends: a file that a killed process
    has left does not count. ``what`` says in messages what the lock guards. Raises LockError if another
    process holds it, OSError if the file cannot be made. A file system without locks gives a warning.
    """
    descriptor = _lock_file(path, what)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # Windows removes no file that is open
            path.unlink()
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Lock an open file until its descriptor is closed; whether that was possible. A file system without
    locks makes it impossible."""
    try:
        _try_lock(descriptor)
    except OSError:
        return False
    return True


def lock_descriptor(descriptor: int, path: Path, what: str) -> None:
    """Lock an open file until its descriptor is closed. Raises LockError as :func:`locked`."""
    try:
        _try_lock(descriptor)
    except BlockingIOError:
        raise LockError(f"{path}: {what} is in use by another process{holder_of(path)}") from None
    except OSError as error:
        warnings.warn(f"{path}: cannot be locked ({error.strerror}): no other run may use it", stacklevel=2)


def _lock_file(path: Path, what: str) -> int:
    """The descriptor of the locked file, which bears the name ``path`` and holds this process's number."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            lock_descriptor(descriptor, path, what)
            if _is_at(descriptor, path):
                break
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the process that held it has removed it meanwhile
    with contextlib.suppress(OSError):  # what it holds is for messages alone
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()} on {platform.node()}\n".encode())
    return descriptor


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def holder_of(path: Path) -> str:
    """The process that a lock file names, as `` (123 on host)``, or nothing."""
    try:
        text = path.read_bytes()[:100].decode(errors="replace").strip()
    except OSError:
        return ""
    return f" ({text})" if text[:1].isdigit() else ""
