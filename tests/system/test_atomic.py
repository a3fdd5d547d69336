"""A file is the old one or the new one, never a part."""

import errno
import io
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from threading import Event

import pytest

from vggrepro.system import atomic
from vggrepro.system.atomic import remove_leftovers, replacing, replacing_path, replacing_paths, write_json


class Stopped(BaseException):
    """Neither an Exception nor an error: a run that is stopped."""


def test_a_written_file_has_the_usual_rights_and_keeps_links(tmp_path):
    target, link = tmp_path / "real", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    with replacing(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~mask


def test_a_pipe_is_written_to_not_replaced(tmp_path):
    """A pipe stands for devices too: no test may depend on the machine's own, or put it at risk."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with replacing(pipe) as file:
            file.write(b"x")
        assert os.read(reader, 10) == b"x"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_block_that_raises_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(Stopped), replacing(path) as file:
        file.write(b"half")
        file.flush()
        assert path.read_bytes() == b"old"
        raise Stopped
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_new_file_is_in_the_same_folder_and_hidden(tmp_path):
    path = tmp_path / ("n" * 255)
    with replacing_path(path) as temporary:
        temporary.write_bytes(b"new")
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".")
        assert not path.exists()
    assert path.read_bytes() == b"new"


def test_the_content_is_on_the_disk_before_it_has_the_name(tmp_path, monkeypatch):
    path, seen = tmp_path / "file", []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (seen.append(path.exists()), real(descriptor)))
    with replacing(path) as file:
        file.write(b"new")
    assert seen == [False, True]  # the file, then the folder's list of names


def test_errors_name_the_file_that_was_asked_for(tmp_path):
    path = tmp_path / "absent" / "file"
    with pytest.raises(FileNotFoundError) as caught, replacing(path):
        pass
    assert caught.value.filename == str(path)
    assert str(caught.value) == f"[Errno 2] No such file or directory: {str(path)!r}"


def test_json(tmp_path):
    path = tmp_path / "file.json"
    write_json(path, {"name": "卷积", "values": [1, 2.5, None]})
    assert json.loads(path.read_text(encoding="utf-8")) == {"name": "卷积", "values": [1, 2.5, None]}
    with pytest.raises(TypeError):
        write_json(path, {"name": {1, 2}})
    assert "卷积" in path.read_text(encoding="utf-8")


def test_no_space_names_the_file_and_another_error_does_not(tmp_path, monkeypatch):
    for number, name in ((errno.ENOSPC, str(tmp_path / "file")), (errno.EIO, None)):
        with pytest.raises(OSError) as caught, replacing(tmp_path / "file"):
            raise OSError(number, os.strerror(number))
        assert caught.value.filename == name

    def fail(descriptor):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output error") as caught, replacing(tmp_path / "file"):
        pass
    assert caught.value.filename == str(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_what_is_written_is_forced_to_the_disk_meanwhile(tmp_path, monkeypatch):
    forced, real = [], os.fsync

    def fsync(descriptor):
        forced.append(os.fstat(descriptor).st_size)
        real(descriptor)

    monkeypatch.setattr(atomic, "FORCED", 100)
    monkeypatch.setattr(os, "fsync", fsync)
    pieces = [bytes([number]) * 10_000 for number in range(5)]
    with replacing(tmp_path / "file") as file:
        for piece in pieces:
            file.write(piece)
    assert (tmp_path / "file").read_bytes() == b"".join(pieces)
    assert 10_000 <= forced[0] <= forced[-2] == 50_000  # the last one is the folder


def test_a_failure_to_force_ends_the_writing(tmp_path, monkeypatch):
    failed = Event()

    def fail(descriptor):
        failed.set()
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(atomic, "FORCED", 100)
    monkeypatch.setattr(os, "fsync", fail)
    with (
        pytest.raises(OSError, match="Input/output error") as caught,
        replacing(tmp_path / "file") as file,
    ):
        for _ in range(1000):
            file.write(bytes(io.DEFAULT_BUFFER_SIZE + 1))
            assert failed.wait(10)
        pytest.fail("all was written")
    assert caught.value.filename == str(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_the_new_file_has_the_rights_of_the_old(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o640)
    with replacing(path) as file:
        file.write(b"new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_long_names_of_wide_characters(tmp_path):
    path = tmp_path / ("卷" * 80 + ".json")  # 245 bytes
    write_json(path, 1)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_names_that_are_no_utf8_are_written_and_read_back(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    path = tmp_path / os.fsdecode(b"r\xe9sultat.json")
    write_json(path, {"image": name})
    assert json.loads(path.read_bytes()) == {"image": name}


KILLED = """
import sys
from vggrepro.system.atomic import replacing
with replacing(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    print("here", flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_process_has_left_goes_and_what_is_being_written_stays(tmp_path):
    path = tmp_path / "file"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout.readline() == b"here\n"
        (hidden,) = tmp_path.iterdir()
        remove_leftovers(tmp_path, bool)
        assert hidden.read_bytes() == b"half"
        process.send_signal(signal.SIGKILL)
    assert [hidden] == list(tmp_path.iterdir())
    write_json(tmp_path / "another", 1)
    assert hidden.exists()
    write_json(path, 1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["another", "file"]


def test_what_killed_processes_have_left_is_removed_where_it_is_ours(tmp_path):
    long = "n" * 150
    for name in ("ours", "theirs", long[:100]):
        (tmp_path / f".{name}.0123456789ab.tmp").touch()
    (tmp_path / ".ours.0123456789ab.tmp2").touch()
    remove_leftovers(tmp_path, lambda name: name in ("ours", long[:100]))
    assert {p.name for p in tmp_path.iterdir()} == {".theirs.0123456789ab.tmp", ".ours.0123456789ab.tmp2"}
    remove_leftovers(tmp_path / "absent", bool)


def test_a_full_disk_is_told_with_the_name_of_the_file(tmp_path, monkeypatch):
    def short_then_full(file, data):
        if file.tell() >= 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        return io.FileIO.write(file, bytes(data)[:4])

    monkeypatch.setattr(atomic._Output, "write", short_then_full)
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="No space left"), replacing(path) as file:
        file.write(b"12345678")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_errors_of_a_written_file_name_it(tmp_path):
    path = tmp_path / "file"
    reader = os.open(os.devnull, os.O_RDONLY)
    with pytest.raises(OSError, match="Bad file descriptor") as caught, replacing(path) as file:
        file.write(b"x")
        os.dup2(reader, file.fileno())  # no longer open for writing
    assert caught.value.filename == str(path)
    os.close(reader)


def test_files_that_belong_together_are_never_of_two_runs(tmp_path, monkeypatch):
    paths = tmp_path / "f.npy", tmp_path / "f.json"
    for path in paths:
        path.write_bytes(b"old")
    real, seen = Path.replace, []

    def replace(source, target):
        seen.append([p.read_bytes() if p.exists() else None for p in paths])
        return real(source, target)

    monkeypatch.setattr(Path, "replace", replace)
    with replacing_paths(*paths) as hidden:
        for path in hidden:
            path.write_bytes(b"new")
    assert seen == [[b"old", None], [b"new", None]]
    assert [path.read_bytes() for path in paths] == [b"new", b"new"]


def test_what_standard_output_leads_to_is_written_to(tmp_path):
    """Its link's text is no path: pipe:[123]."""
    program = (
        "from vggrepro.system.atomic import replacing\n"
        "with replacing('/dev/stdout') as file: file.write(b'x')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True)
    assert (done.stdout, done.stderr) == (b"x", b"")
