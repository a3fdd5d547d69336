"""How a process begins a command. Until the command hears signals itself, Ctrl-C ends it in silence."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn


def command(*words: str) -> NoReturn:
    """Run ``vggrepro COMMAND ...`` and exit with its code. ``words`` stand before the command line's."""
    _end_in_silence()
    from vggrepro.cli.main import main

    sys.exit(main([*words, *sys.argv[1:]] if words else None))


def tool(path: str) -> NoReturn:
    """Run the command that ``tools/*.py`` at ``path`` is called after, and exit with its code."""
    _end_in_silence()
    from vggrepro.cli import main

    main.tool(path)


def _end_in_silence() -> None:
    """Have the system end the process by SIGINT, which shells call 130, unless the signal is ignored. Python
    would show where in its imports it was."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
