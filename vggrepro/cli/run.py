"""What every command shares: errors as one line on stderr and exit code 2, warnings as one line each."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable
from typing import Any, NoReturn

from vggrepro.errors import VggReproError
from vggrepro.system.ranks import Alone, Ranks, find_ranks
from vggrepro.system.terminal import printable

FAILED = 2
"""Exit code of a command that could not do its work; 1 is a result that is not as it should be."""


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong with a command line as all errors are said: in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(FAILED, f"error: {message} (--help tells the options)\n")


def run(body: Callable[[], int]) -> int:
    """Call ``body`` and return its exit code, or print what went wrong and return 2.

    Expected failures (VggReproError, OSError, too little memory) become ``error: ...`` in one line.
    A bug keeps its traceback.
    """
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            return body()
        except VggReproError as error:
            return _fail(str(error))
        except OSError as error:
            name = f"{error.filename}: " if error.filename is not None else ""
            return _fail(f"{name}{error.strerror or error}")
        except MemoryError as error:
            return _fail(f"not enough memory: {error}")


def run_ranks(body: Callable[[Ranks], int]) -> int:
    """As :func:`run`, with the ranks that a launcher started; the failure of one ends them all."""
    ranks: Ranks = Alone()

    def found() -> int:
        nonlocal ranks
        ranks = find_ranks()
        return body(ranks)

    code = run(found)
    if code == FAILED and ranks.size > 1:
        sys.stderr.flush()
        ranks.abort()
    return code


def _fail(message: str) -> int:
    print(f"error: {printable(message)}", file=sys.stderr)
    return FAILED


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"warning: {printable(str(message))}", file=sys.stderr)
