"""Signals as exceptions, and signals while the main thread cannot hear them."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from vggrepro.system.interrupts import (
    Interrupted,
    exit_code,
    heard_while_blocked,
    ignore_signals,
    raising_signals,
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_raises_in_the_block_alone(number):
    before = signal.getsignal(number)
    with raising_signals(), pytest.raises(Interrupted, match=signal.Signals(number).name) as caught:
        os.kill(os.getpid(), number)
        time.sleep(60)
    assert caught.value.number == number
    assert signal.getsignal(number) == before


def test_a_handler_that_is_there_stays():
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        with raising_signals():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]


def test_signals_are_ignored_once_the_process_ends():
    with raising_signals():
        ignore_signals()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)


def test_nothing_changes_in_another_thread():
    def body():
        with raising_signals():
            ignore_signals()

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_thread_hears_what_the_main_thread_does_not():
    heard = threading.Event()

    def act(number):
        assert number == signal.SIGTERM
        heard.set()

    class Blocked:
        raises = True

        def handle(self, number, _):
            """As long as this runs, the main thread does not get out of the block."""
            assert heard.wait(60)

    before = signal.signal(signal.SIGTERM, Blocked().handle)
    try:
        with heard_while_blocked(act, 0.01):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard.is_set()
    assert signal.set_wakeup_fd(-1) == -1


def test_shells_codes():
    assert (exit_code(signal.SIGINT), exit_code(signal.SIGTERM)) == (130, 143)


@pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="no fork")
def test_a_forked_process_ends_as_any_does() -> None:
    """Without a word, as multiprocessing expects it of its workers."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import multiprocessing, time\n"
            "from vggrepro.system.interrupts import raising_signals\n"
            "with raising_signals():\n"
            "    child = multiprocessing.get_context('fork').Process(target=time.sleep, args=(60,))\n"
            "    child.start(), time.sleep(0.3), child.terminate(), child.join()\n"
            "    print(child.exitcode)",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("-15\n", "")


INTERRUPTED_IMPORT = """
import os, signal, sys
from importlib.machinery import ExtensionFileLoader
from vggrepro.system.interrupts import Interrupted, raising_signals

class Finder:
    sent = None

    def find_spec(self, name, path=None, target=None):
        frame = sys._getframe()
        while frame is not None and self.sent is None:
            if isinstance(frame.f_locals.get("self"), ExtensionFileLoader):
                self.sent = frame.f_locals["self"].name
                os.kill(os.getpid(), signal.SIGINT)
            frame = frame.f_back

sys.meta_path.insert(0, finder := Finder())
try:
    with raising_signals():
        import numpy
        while True:
            pass
except Interrupted:
    print("interrupted", finder.sent in sys.modules)
"""


def test_a_module_in_c_is_imported_to_its_end():
    """An exception where such a module imports others would be another one, or end the process."""
    command = [sys.executable, "-c", INTERRUPTED_IMPORT]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ended.stdout, ended.returncode) == ("interrupted True\n", 0)
