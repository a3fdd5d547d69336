"""Standard output and standard error whose reader may have gone."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO, cast


class _Lasting:
    """A stream that goes on as if it were read after its reader has gone, as ``head`` goes.

    Any other failure, such as a full disk, is raised once, with the stream's ``name``.
    """

    def __init__(self, stream: Any, name: str) -> None:
        self._stream = stream
        self._name = name

    def write(self, text: Any) -> int:
        try:
            return int(self._stream.write(text))
        except OSError as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._give_up(error)

    @property
    def buffer(self) -> _Lasting:
        return _Lasting(self._stream.buffer, self._name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _give_up(self, error: OSError) -> None:
        """From now on all goes to the null device: also what Python still holds and writes at its end."""
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self._stream.fileno())
        os.close(null)
        if not isinstance(error, BrokenPipeError):
            raise OSError(error.errno, error.strerror, self._name) from error


@contextmanager
def lasting_streams() -> Iterator[None]:
    """Within the block, what is printed to a stream that nobody reads is dropped without a word: where its
    pipe has lost its reader, and where the process was started without it (``>&-``). Characters that a stream
    has no bytes for become escapes, as ``\\udcff`` of a file's name that is no UTF-8."""
    _fill_standard_descriptors()
    before = sys.stdout, sys.stderr
    sys.stdout = _lasting(sys.stdout, "standard output")
    sys.stderr = _lasting(sys.stderr, "standard error")
    kept = [_escape(stream) for stream in (sys.stdout, sys.stderr)]
    try:
        yield
    finally:
        now = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = before
        try:
            for stream in now:
                stream.flush()
        finally:
            for stream, errors in zip(before, kept, strict=True):
                _set_errors(stream, errors)


def _escape(stream: TextIO) -> str | None:
    """Have a stream escape the characters that its encoding lacks. What it did with them before."""
    stream.flush()
    before = stream.errors
    _set_errors(stream, "backslashreplace")
    return before


def _set_errors(stream: Any, errors: str | None) -> None:
    with suppress(
        AttributeError, ValueError
    ):  # no file's stream, or one that a script has closed or detached
        stream.reconfigure(errors=errors)


def _lasting(stream: TextIO | None, name: str) -> TextIO:
    if stream is None:
        stream = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    return cast("TextIO", _Lasting(stream, name))


def _fill_standard_descriptors() -> None:
    """Open those of the descriptors 0, 1 and 2 that are closed: the next file would get the number, and what
    libraries print would go into it."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
