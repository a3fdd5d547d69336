"""Names that no file can have."""

import os
from pathlib import Path

import pytest

from vggrepro.caffe import binary, hdf5, text
from vggrepro.errors import ParseError
from vggrepro.system.atomic import replacing
from vggrepro.system.file_names import failure, file_path, foreign

NAME = "a\0b"


def test_a_name_is_a_path():
    assert file_path("a/b") == Path("a/b")
    with pytest.raises(FileNotFoundError, match="an empty file name"):
        file_path("")
    with pytest.raises(OSError, match="NUL character") as caught:
        file_path(NAME)
    assert caught.value.filename == NAME
    for name in ("a/", "a/."):
        with pytest.raises(IsADirectoryError, match="the name of a folder, expected a file's"):
            file_path(name)
    assert file_path("https://example.org/") == Path("https:/example.org")  # told as an address elsewhere


def test_a_missing_file_is_told_with_what_may_be_meant(tmp_path):
    (tmp_path / "net.prototxt").touch()
    (tmp_path / "link").symlink_to("away/net")
    for name, told in (
        ("nets.prototxt", "; did you mean 'net.prototxt'?"),
        ("link", "; it is a link to 'away/net'"),
    ):
        with pytest.raises(ParseError) as caught:
            text.read_net(tmp_path / name)
        assert str(caught.value) == f"{tmp_path / name}: No such file or directory{told}"


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError) as caught:
        (tmp_path / "file").mkdir(parents=True, exist_ok=True)
    assert failure(caught.value) == "exists, and is no folder"


@pytest.mark.parametrize("read", [text.read_net, text.is_text, binary.open_net, binary.read_blob])
def test_reading_such_a_file_is_a_parse_error(read):
    with pytest.raises(ParseError, match="a file name with a NUL character"):
        read(NAME)
    assert not hdf5.is_hdf5(NAME)


def test_writing_such_a_file_is_an_os_error():
    with pytest.raises(OSError, match="NUL character"), replacing(NAME):
        pass


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("https://example.org/a.caffemodel", "; this is an address: download the file first"),
        (
            "https:/example.org/a.caffemodel",
            "; this is an address: download the file first",
        ),  # as pathlib has it
        ("s3://bucket/a", "; this is an address: download the file first"),
        ("C:\\a", "; this is a path of Windows: here / stands between folders, and drives have no letter"),
        ("d:/a", "; this is a path of Windows: here / stands between folders, and drives have no letter"),
        ("a/b:c", ""),
        ("net:1", ""),
    ],
)
def test_names_that_no_file_here_has(name, told):
    assert foreign(name) == told


def test_a_working_directory_that_is_gone(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(FileNotFoundError) as caught:
        os.path.realpath("file")
    assert failure(caught.value) == "the working directory is gone"
    monkeypatch.chdir(tmp_path)
    assert failure(FileNotFoundError(2, "No such file or directory")) == "No such file or directory"
