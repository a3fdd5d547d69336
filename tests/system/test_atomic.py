"""A file is the old one or the new one, never a part."""

import errno
import json
import os
import stat

import pytest

from vggrepro.system.atomic import remove_leftovers, replacing, replacing_path, write_json


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


def test_what_killed_processes_have_left_is_removed_where_it_is_ours(tmp_path):
    long = "n" * 150
    for name in ("ours", "theirs", long[:100]):
        (tmp_path / f".{name}.0123456789ab.tmp").touch()
    (tmp_path / ".ours.0123456789ab.tmp2").touch()
    (tmp_path / "ours").touch()
    remove_leftovers(tmp_path, lambda name: name in ("ours", long[:100]))
    assert {p.name for p in tmp_path.iterdir()} == {
        ".theirs.0123456789ab.tmp", ".ours.0123456789ab.tmp2", "ours",
    }  # fmt: skip
    remove_leftovers(tmp_path / "absent", bool)
