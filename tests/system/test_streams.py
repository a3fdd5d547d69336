"""Streams whose reader has gone. Whole commands: tests/cli/test_run.py."""

import io
import os
import sys
from pathlib import Path

import pytest

from vggrepro.system.streams import lasting_streams


def pipe_without_a_reader():
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w", buffering=1)


def test_what_nobody_reads_is_dropped(monkeypatch):
    with pipe_without_a_reader() as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with lasting_streams():
            print("one")
            print("two", flush=True)
            sys.stdout.buffer.write(b"three")
        assert sys.stdout is stream


def test_a_stream_that_is_closed_from_the_start_takes_everything(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with lasting_streams():
        print("one")
        print("two", file=sys.stderr)
    assert sys.stdout is None


def test_a_stream_that_is_read_gets_everything(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    with lasting_streams():
        print("one")
        assert not sys.stdout.isatty()
    assert stream.getvalue() == "one\n"


def test_another_failure_is_raised_once_and_names_the_stream(monkeypatch):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with Path("/dev/full").open("w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with lasting_streams():
            print("one")
            with pytest.raises(OSError, match="No space left on device: 'standard output'"):
                sys.stdout.flush()
            print("two", flush=True)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_characters_without_bytes_become_escapes(monkeypatch, encoding):
    with io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict", newline="\n") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        stream.write("before ")
        with lasting_streams():
            print("n\udcff")
        assert stream.buffer.getvalue() == b"before n\\udcff\n"
        with pytest.raises(UnicodeEncodeError):
            print("n\udcff")


def test_a_script_may_take_the_stream_apart(monkeypatch):
    """As scripts of Python 2 that were converted do."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    with lasting_streams():
        sys.stdout = io.TextIOWrapper(sys.stdout.detach(), encoding="utf-8", newline="\n")
        print("\xe9")
        mine = sys.stdout
    assert written.getvalue() == b"\xc3\xa9\n"
    mine.detach()
