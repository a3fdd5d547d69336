"""The evaluation command in a process of its own, to be killed."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from vggrepro.evaluation.measuring.view_cache import DONE

EVALUATE = [sys.executable, str(Path(__file__).parents[2] / "tools" / "eval_ilsvrc.py")]
ONE_THREAD = ["--threads", "1", "--workers", "1"]


def done(cache):
    """Which images of the only stream are finished."""
    paths = list(cache.glob("*/states.npy"))
    return np.load(paths[0]) == DONE if paths else np.zeros(1, bool)


def run_until_half_done(arguments, cache, seconds=60.0):
    """Start a run and kill it as soon as some, but not all, images are in the cache."""
    with subprocess.Popen([*arguments, "--cache", str(cache)], stderr=subprocess.DEVNULL) as process:
        end = time.monotonic() + seconds
        while not done(cache).any():
            assert process.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < end, "no image was finished in time"
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
    finished = done(cache)
    assert finished.any()
    assert not finished.all()
    return finished
