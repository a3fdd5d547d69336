"""Memory that was freed: whether it stays with this process or goes back to the operating system."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""glibc's M_TRIM_THRESHOLD and M_MMAP_THRESHOLD."""

_LARGEST = 1 << 25
"""32 MiB: the largest M_MMAP_THRESHOLD that glibc takes. Larger pieces always go back."""

_AT_THE_END = 1 << 26
"""Free bytes at the end of a heap from which on they go back; each thread has a heap."""

_VARIABLES = frozenset({"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"})
"""Variables of the environment by which a user sets the same."""


def give_back() -> None:
    """Give back the free pages of the C library's heap, where it can be told to (glibc); do nothing
    elsewhere. Memory in use stays where it is."""
    trim = _of_glibc("malloc_trim")
    if trim is not None:
        trim(0)


def keep() -> None:
    """Have the C library keep what is freed from now on, where it can be told to (glibc) and the environment
    does not say otherwise; :func:`give_back` still gives it back.

    The memory of a picture may else go back to the system as soon as it is freed, and be filled with zeros,
    page by page, for the next one.
    """
    option = _of_glibc("mallopt")
    if option is not None and _VARIABLES.isdisjoint(os.environ):
        option(_TRIM_THRESHOLD, _AT_THE_END)
        option(_MMAP_THRESHOLD, _LARGEST)


def _of_glibc(name: str) -> Any:
    """A function of the C library; None where there is none of this name."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
