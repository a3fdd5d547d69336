"""Signals that come before a command hears them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

_WHILE_IMPORTING = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, path, target=None):
        if name == "vggrepro.cli.main":
            os.kill(os.getpid(), signal.SIGINT)

from vggrepro.cli import entry
sys.meta_path.insert(0, Interrupting())
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals between processes")
@pytest.mark.parametrize("start", ["entry.command()", 'entry.tool("tools/classify.py")'])
def test_an_interrupt_while_modules_are_imported_ends_in_silence(start: str) -> None:
    command = [sys.executable, "-c", _WHILE_IMPORTING + start]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")


def test_words_before_the_command_line() -> None:
    code = "from vggrepro.cli.entry import command; command('inspect-net')"
    ended = subprocess.run(
        [sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0
    assert ended.stdout.startswith("usage: ")
    assert "inspect-net" in ended.stdout
