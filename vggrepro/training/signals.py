"""What signals make of a run: Caffe's ``--sigint_effect`` and ``--sighup_effect``."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any, Literal

Effect = Literal["stop", "snapshot", "none"]

EFFECTS: tuple[Effect, ...] = ("stop", "snapshot", "none")


class Signals:
    """Within its block SIGINT and SIGHUP are noted and do not interrupt. A second SIGINT after one that
    stops the run interrupts it at once, as if there were no handler."""

    def __init__(self, sigint: Effect = "stop", sighup: Effect = "snapshot") -> None:
        self._effects = {signal.SIGINT: sigint}
        if hasattr(signal, "SIGHUP"):  # Windows has none
            self._effects[signal.SIGHUP] = sighup
        self._before: dict[int, Any] = {}
        self._noted: set[Effect] = set()

    def __enter__(self) -> Signals:
        for number in self._effects:
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        effect = self._effects[signal.Signals(number)]
        self._noted.add(effect)
        if number == signal.SIGINT and effect == "stop":
            signal.signal(number, self._before[number])

    @property
    def stop(self) -> bool:
        """Whether the run is to stop; stays true."""
        return "stop" in self._noted

    def take_snapshot(self) -> bool:
        """Whether a snapshot was asked for since the last call."""
        asked = "snapshot" in self._noted
        self._noted.discard("snapshot")
        return asked
