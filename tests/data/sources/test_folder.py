"""Folders that hold more than files."""

import os
import socket
from pathlib import Path

import pytest

from vggrepro.data.sources import FolderSource, listed, open_images
from vggrepro.data.sources.folder import MAX_FILE_BYTES
from vggrepro.data.truth.labels import read_list
from vggrepro.errors import DataError
from vggrepro.system.atomic import write_json


def keys(path: Path) -> list[str]:
    source = open_images(path)
    return [source.key(i) for i in range(len(source))]


def test_pipes_and_sockets_are_named_and_not_waited_for(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"a")
    os.mkfifo(tmp_path / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(tmp_path)  # the path of a socket is short
        try:
            server.bind("socket.jpg")
        finally:
            os.chdir(here)
    (tmp_path / "device.jpg").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe")
    with pytest.warns(UserWarning) as warned:
        assert keys(tmp_path) == ["a.jpg"]
    found = sorted(str(warning.message).rpartition("/")[2] for warning in warned)
    assert found == [
        "device.jpg: a device, not read as an image",
        "pipe.jpg: a pipe (FIFO), not read as an image",
        "socket.jpg: a socket, not read as an image",
    ]


@pytest.mark.parametrize("kind", ["a pipe (FIFO)", "a folder", "a device"])
def test_what_is_listed_and_no_file_is_an_error_at_once(tmp_path, kind):
    path = {"a device": Path("/dev/zero")}.get(kind, tmp_path / "x.jpg")
    if kind == "a folder":
        path.mkdir()
    elif kind != "a device":
        os.mkfifo(path)
    with pytest.raises(DataError) as error:
        FolderSource(Path(), (str(path),)).read(0)
    assert str(error.value) == f"{path}: Could not open or find file: {kind}, expected a regular file"


def test_a_pipe_is_no_tar(tmp_path):
    os.mkfifo(tmp_path / "x.tar")
    with pytest.raises(DataError, match="no such folder or tar"):
        open_images(tmp_path / "x.tar")


def test_a_folder_with_the_name_of_an_image_is_a_folder(tmp_path):
    (tmp_path / "x.jpg").mkdir()
    (tmp_path / "x.jpg" / "a.jpg").write_bytes(b"a")
    assert keys(tmp_path) == ["x.jpg/a.jpg"]


def test_broken_links_are_errors_when_they_are_read(tmp_path):
    (tmp_path / "gone.jpg").symlink_to("nowhere")
    (tmp_path / "self.jpg").symlink_to("self.jpg")
    source = open_images(tmp_path)
    for index, problem in enumerate(("No such file", "symbolic links")):
        with pytest.raises(DataError, match=rf"\.jpg: Could not open or find file: .*{problem}"):
            source.read(index)


def test_linked_folders_count_once_under_their_own_name(tmp_path):
    for name in ("b", "elsewhere"):
        (tmp_path / "set" / name).mkdir(parents=True)
    (tmp_path / "set" / "elsewhere").rename(tmp_path / "elsewhere")
    (tmp_path / "set" / "b" / "1.jpg").write_bytes(b"1")
    (tmp_path / "elsewhere" / "2.jpg").write_bytes(b"2")
    (tmp_path / "set" / "a").symlink_to("b")
    (tmp_path / "set" / "d").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "c").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "set")
    assert keys(tmp_path / "set") == ["b/1.jpg", "c/2.jpg"]


def test_a_folder_that_cannot_be_read_is_not_passed_over(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    (tmp_path / "a.jpg").write_bytes(b"a")
    scandir = os.scandir

    def refusing(folder: Path) -> object:  # permissions do not stop root
        if folder.name == "closed":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(DataError, match="closed: the folder cannot be read: Permission denied"):
        open_images(tmp_path)


def test_names_that_are_not_utf8(tmp_path):
    root = tmp_path / "set"
    root.mkdir()
    (root / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"a")
    (tmp_path / "list").write_bytes(b"caf\xe9.jpg 3\n")
    view = listed(open_images(root), read_list(tmp_path / "list"), "list")
    assert (view.key(0), view.label(0), view.read(0)) == ("caf\udce9.jpg", 3, b"a")
    write_json(tmp_path / "x.json", {"name": view.key(0), "word": "café"})
    assert (tmp_path / "x.json").read_bytes() == b'{\n "name": "caf\\udce9.jpg",\n "word": "caf\xc3\xa9"\n}\n'


def test_a_file_of_more_bytes_than_opencv_takes(tmp_path):
    with (tmp_path / "x.jpg").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(DataError, match="2,147,483,648 bytes, expected at most 2,147,483,647"):
        open_images(tmp_path).read(0)


def test_folder_is_read_in_the_order_of_paths(tmp_path):
    for name in ("n2/b.JPEG", "n1/c.jpg", "n1/a.PNG", "n1/notes.txt", "n1/.hidden.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "n2" / "loop").symlink_to(tmp_path)
    source = open_images(tmp_path)
    assert [source.key(i) for i in range(len(source))] == ["n1/a.PNG", "n1/c.jpg", "n2/b.JPEG"]
    assert source.read(2) == b"n2/b.JPEG"
    (tmp_path / "n1/c.jpg").unlink()
    with pytest.raises(DataError, match=r"c\.jpg: Could not open or find file: No such file"):
        source.read(1)


def test_nothing_there(tmp_path):
    with pytest.raises(DataError, match="no image files in this folder"):
        open_images(tmp_path)
    with pytest.raises(DataError, match="no such folder or tar"):
        open_images(tmp_path / "missing")
