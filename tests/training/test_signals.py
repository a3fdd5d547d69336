"""What signals make of a run."""

from __future__ import annotations

import os
import signal

import pytest

from vggrepro.training.signals import EFFECTS, Signals

needs_sighup = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no SIGHUP")


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def test_nothing_yet() -> None:
    with Signals() as signals:
        assert not signals.stop
        assert not signals.take_snapshot()


def test_sigint_stops_for_good() -> None:
    with Signals() as signals:
        send(signal.SIGINT)
        assert signals.stop
        assert signals.stop
        assert not signals.take_snapshot()


@needs_sighup
def test_sighup_asks_for_one_snapshot() -> None:
    with Signals() as signals:
        send(signal.SIGHUP)
        assert signals.take_snapshot()
        assert not signals.take_snapshot()
        assert not signals.stop


@needs_sighup
def test_effects_can_be_exchanged() -> None:
    with Signals(sigint="snapshot", sighup="stop") as signals:
        send(signal.SIGINT)
        assert (signals.stop, signals.take_snapshot()) == (False, True)
        send(signal.SIGINT)  # it does not stop the run, so a second one does not interrupt
        assert signals.take_snapshot()
        send(signal.SIGHUP)
        assert signals.stop


def test_none_ignores() -> None:
    assert EFFECTS == ("stop", "snapshot", "none")
    with Signals(sigint="none") as signals:
        send(signal.SIGINT)
        assert (signals.stop, signals.take_snapshot()) == (False, False)


def test_a_second_sigint_interrupts_at_once() -> None:
    with Signals() as signals:
        send(signal.SIGINT)
        assert signals.stop
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)


@pytest.mark.parametrize("sent", [False, True])
def test_handlers_are_put_back(sent: bool) -> None:
    before = signal.getsignal(signal.SIGINT)
    with Signals():
        assert signal.getsignal(signal.SIGINT) != before
        if sent:
            send(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == before
