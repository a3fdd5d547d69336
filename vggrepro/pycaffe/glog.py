"""Caffe's log: lines in the form of glog, on stderr and, where it is asked for, in a file."""

from __future__ import annotations

import getpass
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TextIO

INFO, WARNING, ERROR = 0, 1, 2
_LETTERS = "IWEF"


@dataclass
class _Log:
    level: int
    file: TextIO | None = None


def _initial_level() -> int:
    """``GLOG_minloglevel``, as glog reads it; what is no number counts as 0."""
    text = os.environ.get("GLOG_minloglevel", "0")  # noqa: SIM112 (glog's own spelling)
    return int(text) if text.isdecimal() else 0


_LOG = _Log(_initial_level())


def init_log(level: int | None = None, std_err: bool = True) -> None:  # noqa: ARG001 (Caffe's)
    """Write messages of this level (0 information, 1 warnings, 2 errors) and above; without it nothing
    changes. ``std_err`` is Caffe's choice between stderr and files: here messages go to stderr always."""
    if level is not None:
        _LOG.level = level


def set_logging_disabled() -> None:
    """Write errors alone from here on, as FlowNet's fork of Caffe does when a script asks for silence."""
    init_log(ERROR)


def log(message: str, place: str = "caffe.py") -> None:
    """Write a line of information. ``place`` is the file and line of Caffe's source that writes it there:
    glog puts it in front of the message, and programs that read logs may look for it."""
    _write(INFO, message, place)


def warning(message: str) -> None:
    _write(WARNING, message, "caffe.py")


@contextmanager
def at_level(level: int) -> Iterator[None]:
    """Within the block, write messages of this level and above."""
    before, _LOG.level = _LOG.level, level
    try:
        yield
    finally:
        _LOG.level = before


@contextmanager
def log_file(folder: Path, program: str) -> Iterator[None]:
    """Within the block, write all messages to a file in ``folder`` as well, called as glog calls it; the link
    ``<program>.INFO`` leads to the newest. Raises OSError."""
    now = datetime.now()
    host = socket.gethostname()
    name = f"{program}.{host}.{_user()}.log.INFO.{now:%Y%m%d-%H%M%S}.{os.getpid()}"
    file = (folder / name).open("w", encoding="utf-8", errors="surrogateescape")
    try:
        link = folder / f"{program}.INFO"
        with suppress(OSError):  # a file system without links
            link.unlink(missing_ok=True)
            link.symlink_to(name)
        _put(f"Log file created at: {now:%Y/%m/%d %H:%M:%S}", file)
        _put(f"Running on machine: {host}", file)
        _put("Log line format: [IWEF]mmdd hh:mm:ss.uuuuuu threadid file:line] msg", file)
        _LOG.file = file
        yield
    finally:
        _LOG.file = None
        with suppress(OSError):  # of a line that could not be written, which has been told
            file.close()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user that the system has no name for
        return "invalid-user"


def _write(level: int, message: str, place: str) -> None:
    if level >= _LOG.level:
        stamp = datetime.now().strftime("%m%d %H:%M:%S.%f")
        line = f"{_LETTERS[level]}{stamp} {os.getpid():5d} {place}] {message}"
        print(line, file=sys.stderr)
        if _LOG.file is not None:
            _put(line, _LOG.file)


def _put(line: str, file: TextIO) -> None:
    """Write a line to a file at once. Raises OSError, which names it."""
    try:
        print(line, file=file, flush=True)
    except OSError as error:
        raise OSError(error.errno, error.strerror, file.name) from error
