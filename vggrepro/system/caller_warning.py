"""Warnings that name the caller's line, not one of this package."""

from __future__ import annotations

import sys
import warnings
from itertools import count

_PACKAGE = __name__.partition(".")[0]


def warn_caller(message: str) -> None:
    """Warn, with the place of the nearest caller outside this package, or of the outermost inside."""
    for level in count(1):
        try:
            frame = sys._getframe(level)
        except ValueError:
            break
        if frame.f_globals.get("__name__", "").partition(".")[0] != _PACKAGE:
            break
    warnings.warn(message, stacklevel=level + 1)
