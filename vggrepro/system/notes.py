"""What a command says on standard error beside its results: notes, which ``--quiet`` leaves out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from vggrepro.system.terminal import escaped

_QUIET: ContextVar[bool] = ContextVar("quiet", default=False)


@contextmanager
def quieted(asked: bool = True) -> Iterator[None]:
    """Within the block there are neither notes nor progress, if that is ``asked`` for or is so already."""
    token = _QUIET.set(asked or is_quiet())
    try:
        yield
    finally:
        _QUIET.reset(token)


def is_quiet() -> bool:
    """Whether notes and progress are left out."""
    return _QUIET.get()


def note(text: str) -> None:
    """Print one line on standard error, unless notes are left out."""
    if not is_quiet():
        print(escaped(text), file=sys.stderr, flush=True)


def next_step(text: str) -> None:
    """Print, as a command's last note, what its user can do with the result."""
    note(f"next: {text}")
