"""Giving memory back to the operating system that was freed, but is still kept for this process."""

from __future__ import annotations

import ctypes
import sys


def give_back() -> None:
    """Give back the free pages of the C library's heap, where it can be told to (glibc); do nothing
    elsewhere. Memory in use stays where it is."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
