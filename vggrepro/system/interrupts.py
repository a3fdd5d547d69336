"""Signals that end a process, as exceptions; and heard where the main thread cannot hear them."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ExtensionFileLoader
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """The process got SIGINT or SIGTERM; ``number`` says which."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def exit_code(number: int) -> int:
    """What a shell calls the end by a signal: 130 for SIGINT, 143 for SIGTERM."""
    return 128 + number


@contextmanager
def raising_signals() -> Iterator[None]:
    """Within the block SIGINT and SIGTERM raise Interrupted in the main thread.

    A signal that is ignored, or that has a handler already, keeps what it has. In another thread than the
    main one nothing changes: Python lets no other thread set handlers. Forked processes have Python's own.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    global _raised
    _raised = None
    before = {}
    for number in SIGNALS:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            before[number] = signal.signal(number, _raise)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_signals() -> None:
    """Until the end of :func:`raising_signals`, ignore what it would raise: the process ends already."""
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            if signal.getsignal(number) is _raise:
                signal.signal(number, signal.SIG_IGN)


def _raises(number: int) -> bool:
    handler = signal.getsignal(number)
    return handler is _raise or bool(getattr(getattr(handler, "__self__", None), "raises", False))


_raised: Interrupted | None = None
"""What :func:`raising_signals` has raised last."""


_AGAIN = 0.01
"""Seconds after which a signal comes again that came while a module in C was imported."""


def _raise(number: int, frame: FrameType | None) -> None:
    """Raise Interrupted, but not within a module in C that begins: what calls Python there, as pybind11's
    enumerations do, would end the process by SIGABRT or SIGSEGV."""
    if _imports_extension(frame):
        threading.Timer(_AGAIN, signal.raise_signal, (number,)).start()
        return
    global _raised
    _raised = Interrupted(number)
    raise _raised


def _imports_extension(frame: FrameType | None) -> bool:
    while frame is not None:
        if isinstance(frame.f_locals.get("self"), ExtensionFileLoader):
            return True
        frame = frame.f_back
    return False


def raised() -> Interrupted | None:
    """What the innermost :func:`raising_signals` has raised so far. A library may have made another exception
    of it, as code in C often does."""
    return _raised


def _as_any_process() -> None:
    """Undo :func:`raising_signals` in a forked process: multiprocessing ends its workers by SIGTERM."""
    for number in SIGNALS:
        if signal.getsignal(number) is _raise:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_as_any_process)


@contextmanager
def heard_while_blocked(act: Callable[[int], None], seconds: float) -> Iterator[None]:
    """Within the block, call ``act(number)`` in a thread ``seconds`` after a signal that should have raised
    Interrupted, unless the block has been left by then.

    A handler of Python's runs only when the main thread comes back from the call that it is in. One that
    waits for other processes, as MPI's calls do, may never come back. For the main thread alone. Signals that
    raise are those of :func:`raising_signals`, and those whose handler is a method of an object that says so
    by its attribute ``raises``.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    left = threading.Event()

    def listen() -> None:
        while heard := os.read(reader, 1):
            if _raises(heard[0]) and not left.wait(seconds):
                act(heard[0])

    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    thread = threading.Thread(target=listen, name="signals", daemon=True)
    thread.start()
    try:
        yield
    finally:
        left.set()
        signal.set_wakeup_fd(before)
        os.close(writer)
        thread.join()
        os.close(reader)
