"""What every command shares: each failure is one line on stderr and an exit code, each warning one line.

Exit codes: 0 done, 1 a check failed, 2 an error, 130 stopped by SIGINT, 143 by SIGTERM.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import threading
import time
import traceback as tracebacks
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NoReturn

from vggrepro.errors import VggReproError, did_you_mean
from vggrepro.system.file_names import failure
from vggrepro.system.interrupts import (
    Interrupted,
    exit_code,
    heard_while_blocked,
    ignore_signals,
    raised,
    raising_signals,
)
from vggrepro.system.notes import quieted
from vggrepro.system.ranks import Ranks, end_all, find_ranks
from vggrepro.system.terminal import printable

FAILED = 2
"""Exit code of a command that could not do its work; 1 is a result that is not as it should be."""

TRACEBACK = "VGGREPRO_TRACEBACK"
"""The environment variable that does what ``--traceback`` does, unless it is empty or 0."""

BLOCKED = 1.0
"""Seconds that a signal may go unheard by a rank's main thread before all ranks are ended nevertheless."""

CAUSE_FIRST = 0.3
"""Seconds that a rank waits before it says why it failed: it may have failed because another one ends."""

FIRST_RANK_FIRST = 0.5
"""Seconds that other ranks give the first one to say it, where all ranks fail of the same."""

NOTHING_WRITTEN = "nothing was written"
"""What is left of a command that writes its files when all is done."""

End = Callable[[int, str], int]
"""Ends a command that has failed with an exit code and a message."""


_CALLED_AS: ContextVar[Path | None] = ContextVar("called_as", default=None)


@contextmanager
def called_as(path: str) -> Iterator[None]:
    """Within the block commands are called as the program at ``path``, and not as ``vggrepro COMMAND``."""
    token = _CALLED_AS.set(Path(path))
    try:
        yield
    finally:
        _CALLED_AS.reset(token)


def called(command: str) -> str:
    """How the user calls a command, by the way in which this one was called: ``vggrepro classify`` or
    ``tools/classify.py``."""
    program = _CALLED_AS.get()
    if program is None:
        return f"vggrepro {command.replace('_', '-')}"
    path = str(program.with_name(f"{command.replace('-', '_')}.py"))
    return shlex.quote(path if os.sep in path else f"./{path}")


class _Lines(argparse.HelpFormatter):
    """Texts of several lines stay as they are; others are wrapped."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n" in text else super()._fill_text(text, width, indent)


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong with a command line as all errors are said: in one line. Every command
    has ``--traceback``.

    ``command`` is the name of a command, which its help calls as the user did. ``examples`` are command lines
    of it, behind its name or with ``%(prog)s`` where that stands; the help shows them before the ``epilog``.
    """

    def __init__(self, *, command: str | None = None, examples: Sequence[str] = (), **settings: Any) -> None:
        if command is not None:
            settings["prog"] = called(command)
        if examples:
            lines = [line if "%(prog)s" in line else f"%(prog)s {line}" for line in examples]
            shown = "\n".join(["examples:", *(f"  {line}" for line in lines)])
            settings["epilog"] = f"{shown}\n\n{settings.get('epilog') or ''}".rstrip()
        super().__init__(**{"formatter_class": _Lines, **settings})
        self.add_argument(
            "--traceback",
            action="store_true",
            help=f"show where in the program an error arose ({TRACEBACK}=1)",
        )

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        """Raise ArgumentError for an empty path, as a shell's unset variable gives: Python would take it for
        the working directory."""
        if action.type is Path and not arg_string:
            raise argparse.ArgumentError(action, "expected a path, got an empty one")
        return super()._get_value(action, arg_string)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Raise ArgumentError for a value that is not among an argument's choices."""
        if action.choices is not None and value not in action.choices:
            names = [str(choice) for choice in action.choices]
            told = f"choose from {', '.join(names)}{did_you_mean(str(value), names, beginnings=True)}"
            raise argparse.ArgumentError(action, f"invalid choice: {value!r}; {told}")

    def error(self, message: str) -> NoReturn:
        unknown = message.removeprefix("unrecognized arguments: ").split()[0]
        if message.startswith("unrecognized arguments: -"):
            message += did_you_mean(unknown.partition("=")[0], self._option_string_actions)
        self.exit(FAILED, f"error: {printable(message)} (--help tells the options)\n")


def kept_in(cache: Path | None) -> str:
    """What is left of a stopped run that fills a cache."""
    if cache is None:
        return "nothing is kept (--cache DIR keeps what is measured)"
    return f"what was measured is in {cache}: the same command goes on from there"


def run(body: Callable[[], int], *, traceback: bool = False, quiet: bool = False, kept: str = "") -> int:
    """Call ``body`` and return its exit code, or print in one line why it did not get to its end.

    SIGINT and SIGTERM end it with 130 and 143; ``kept`` says then what is left of the work and how to go on.
    Every exception ends it with 2: one that nobody expected is told as ``error: internal: ...``. With
    ``traceback`` it is shown where the exception arose; with ``quiet`` there are no notes and no progress.
    """
    with quieted(quiet):
        return _run(body, _fail, traceback, kept)


def run_ranks(
    body: Callable[[Ranks], int], *, traceback: bool = False, quiet: bool = False, kept: str = ""
) -> int:
    """As :func:`run`, with the ranks that a launcher started. What ends one rank before its time ends all
    of them, with its exit code, also where this or another rank waits in a call of MPI."""
    end = _EndOfAll()

    def stop(number: int) -> None:
        end(*_told(Interrupted(number), kept))

    def found() -> int:
        ranks = find_ranks()
        if ranks.size == 1:
            return body(ranks)
        end.rank = ranks.rank
        with heard_while_blocked(stop, BLOCKED):
            code = _left(body, ranks, end)
            ranks.barrier()  # the signals' thread ends with the block: no rank waits for another after it
        return code

    with quieted(quiet):
        return _run(found, end, traceback, kept)


def _left(body: Callable[[Ranks], int], ranks: Ranks, end: End) -> int:
    """The exit code of ``body``, also if it leaves by SystemExit, which the other ranks know nothing of."""
    try:
        return body(ranks)
    except SystemExit as asked:
        code = asked.code
        if isinstance(code, str):
            return end(FAILED, code)
        return end(code or 0, "")


class _EndOfAll:
    """Says why a rank has failed and ends all of them; in whichever thread it is called first."""

    def __init__(self) -> None:
        self.rank: int | None = None
        self._lock = threading.Lock()

    def __call__(self, code: int, message: str) -> int:
        if not self._lock.acquire(blocking=False):
            threading.Event().wait()  # the other thread ends this process
        if self.rank is not None:
            time.sleep(CAUSE_FIRST + (FIRST_RANK_FIRST if self.rank else 0))
        if message:
            _fail(code, message)
        end_all(code)
        return code


def _run(body: Callable[[], int], end: End, traceback: bool, kept: str) -> int:
    with warnings.catch_warnings(), raising_signals():
        warnings.showwarning = _show_warning
        try:
            code = body()
            sys.stdout.flush()
        except (Exception, KeyboardInterrupt) as error:
            ignore_signals()
            if traceback or os.environ.get(TRACEBACK, "0") not in ("", "0"):
                tracebacks.print_exception(error)
            return end(*_told(raised() or error, kept))
    return code


def _told(error: BaseException, kept: str) -> tuple[int, str]:
    """The exit code for an exception, and what the user is told."""
    if isinstance(error, KeyboardInterrupt):
        number = error.number if isinstance(error, Interrupted) else signal.SIGINT
        return exit_code(number), f"stopped by {signal.Signals(number).name}" + (f"; {kept}" if kept else "")
    if isinstance(error, VggReproError | Warning):  # warnings are raised by python -W error
        return FAILED, str(error)
    if isinstance(error, OSError):
        name = f"{error.filename}: " if error.filename is not None else ""
        return FAILED, f"{name}{failure(error)}"
    if isinstance(error, MemoryError):
        return FAILED, f"not enough memory: {error}" if str(error) else "not enough memory"
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return FAILED, f"internal: {text} (--traceback shows where)"


def _fail(code: int, message: str) -> int:
    print(f"error: {printable(message)}", file=sys.stderr)
    return code


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"warning: {printable(str(message))}", file=sys.stderr)
