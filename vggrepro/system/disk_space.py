"""Setting space on a disk aside for a file before it is written."""

from __future__ import annotations

import errno
import os
import sys

NO_SPACE = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
"""Failures of a disk that is full, of a file that may not be so large, and of a user's share."""

_KEEP_SIZE = 1
"""``FALLOC_FL_KEEP_SIZE``: the file's size stays what has been written."""


def reserve(descriptor: int, size: int) -> None:
    """Set ``size`` bytes aside for an open file, on Linux and where the file system can do that at once.

    This is ``fallocate``; ``posix_fallocate``, which Python has, writes into every block where the file
    system cannot. Raises OSError if there is no room.
    """
    if sys.platform != "linux" or sys.maxsize < 1 << 32 or size <= 0:
        return
    import ctypes  # command lines do without

    call = ctypes.CDLL(None, use_errno=True).fallocate
    call.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    if call(descriptor, _KEEP_SIZE, 0, size) != 0 and (code := ctypes.get_errno()) in NO_SPACE:
        raise OSError(code, os.strerror(code))
