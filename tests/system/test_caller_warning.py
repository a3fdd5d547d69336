"""Warnings are attributed to the caller's line."""

import subprocess
import sys

import pytest

from vggrepro.caffe import text


def test_the_caller_is_named(tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text("name: 'n' odd: 1")
    with pytest.warns(UserWarning) as caught:
        text.read_net(path, allow_unknown=True)
    assert caught[0].filename == __file__


def test_without_a_caller_outside_it_is_the_outermost_frame():
    run = "from vggrepro.system.caller_warning import warn_caller as w; w('odd')"
    globals_ = f"exec(compile({run!r}, 'f.py', 'exec'), {{'__name__': 'vggrepro.x'}})"
    done = subprocess.run([sys.executable, "-c", globals_], capture_output=True, text=True, check=True)
    assert "UserWarning: odd" in done.stderr
