"""What signals make of a run: Caffe's ``--sigint_effect``, ``--sighup_effect``, and the same for others."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Literal

from vggrepro.system.interrupts import Interrupted

Effect = Literal["stop", "snapshot", "none"]

StopCode = Literal["signal", "0"]
"""The exit code of a run that a signal stopped: 128 and its number, or 0."""

EFFECTS: tuple[Effect, ...] = ("stop", "snapshot", "none")


class StoppedBySignal(Interrupted):
    """A signal ends the run at once, where there is nothing that waiting would save."""


class Signals:
    """Within its block SIGINT, SIGTERM, SIGUSR1 and SIGHUP are noted and do not interrupt. A second SIGINT
    after one that stops the run interrupts it at once, by StoppedBySignal."""

    def __init__(
        self,
        sigint: Effect = "stop",
        sighup: Effect = "snapshot",
        sigterm: Effect = "stop",
        sigusr1: Effect = "stop",
    ) -> None:
        effects = {"SIGINT": sigint, "SIGTERM": sigterm, "SIGHUP": sighup, "SIGUSR1": sigusr1}
        # Windows has neither SIGHUP nor SIGUSR1.
        self._effects = {getattr(signal, n): e for n, e in effects.items() if hasattr(signal, n)}
        self._before: dict[int, Any] = {}
        self._noted: dict[int, Effect] = {}
        self._at_once = False

    def __enter__(self) -> Signals:
        for number in self._effects:
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """Within the block, where there is no iteration to finish, a signal that stops the run raises
        StoppedBySignal at once, also if it came before."""
        self._at_once = True
        for number, came in zip(self.numbers, self.stopping, strict=True):
            if came:
                raise StoppedBySignal(number)
        try:
            yield
        finally:
            self._at_once = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        effect = self._effects[signal.Signals(number)]
        again = number == signal.SIGINT and self._noted.get(number) == "stop"
        self._noted[number] = effect
        if effect == "stop" and (again or self._at_once):
            raise StoppedBySignal(number)

    @property
    def raises(self) -> bool:
        """Whether a signal that stops the run raises now; see ``heard_while_blocked``."""
        return self._at_once

    @property
    def numbers(self) -> list[int]:
        """The signals that are noted, in the order of :attr:`stopping`."""
        return [int(number) for number in self._effects]

    @property
    def stopping(self) -> list[bool]:
        """Of each of :attr:`numbers`, whether it came and stops the run."""
        return [self._noted.get(number) == "stop" for number in self._effects]

    @property
    def stop(self) -> bool:
        """Whether the run is to stop; stays true."""
        return any(self.stopping)

    def take_snapshot(self) -> bool:
        """Whether a snapshot was asked for since the last call."""
        asked = [number for number in self._effects if self._noted.get(number) == "snapshot"]
        for number in asked:
            self._noted.pop(number, None)
        return bool(asked)
