"""Caffe's log: lines in the form of glog, on stderr."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from datetime import datetime

INFO, WARNING = 0, 1
_LETTERS = "IWEF"


@dataclass
class _Log:
    level: int


def _initial_level() -> int:
    """``GLOG_minloglevel``, as glog reads it; what is no number counts as 0."""
    text = os.environ.get("GLOG_minloglevel", "0")  # noqa: SIM112 (glog's own spelling)
    return int(text) if text.isdecimal() else 0


_LOG = _Log(_initial_level())


def init_log(level: int = INFO) -> None:
    """Write messages of this level (0 information, 1 warnings, 2 errors) and above."""
    _LOG.level = level


def log(message: str) -> None:
    """Write a line of information."""
    _write(INFO, message)


def warning(message: str) -> None:
    _write(WARNING, message)


def _write(level: int, message: str) -> None:
    if level >= _LOG.level:
        stamp = datetime.now().strftime("%m%d %H:%M:%S.%f")
        print(f"{_LETTERS[level]}{stamp} {os.getpid():5d} caffe.py] {message}", file=sys.stderr)
