"""Locks that die with the process that holds them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vggrepro.errors import LockError
from vggrepro.system.lock import locked

HOLD = """
import sys, time
from pathlib import Path
from vggrepro.system.lock import locked
with locked(Path(sys.argv[1]), "the run"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_is_held_once(tmp_path: Path) -> None:
    with locked(tmp_path / "x.lock", "the run"):
        with pytest.raises(LockError, match=rf"x\.lock: the run is in use .*\({os.getpid()} on ") as error:
            locked(tmp_path / "x.lock", "the run").__enter__()
        assert "\n" not in str(error.value)
        with locked(tmp_path / "y.lock", "another"):
            pass
    assert list(tmp_path.iterdir()) == []
    with locked(tmp_path / "x.lock", "the run"):
        pass


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_lock_dies_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LockError, match=rf"\({holder.pid} on "):
            locked(path, "the run").__enter__()
        holder.send_signal(signal.SIGKILL)
    assert path.exists()  # what is left of it does not count
    with locked(path, "the run"):
        assert path.read_text().startswith(f"{os.getpid()} ")
    assert not path.exists()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        locked(tmp_path / "no" / "x.lock", "the run").__enter__()
