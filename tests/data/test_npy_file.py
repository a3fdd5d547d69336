"""Why a file is no .npy file."""

from pathlib import Path

import pytest

from vggrepro.data.npy_file import npy_fault


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\x93NUMPY\x01", "numpy's words"),
        (b"\xff\xd8\xff\xe0", "this is a JPEG image"),
        (b"<html></html>", "this is a web page: download the file itself"),
        (b"", "this is an empty file"),
        (b"abcdef", "it begins 61 62 63 64"),
    ],
)
def test_a_file_is_told_by_what_it_is(content: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    assert npy_fault(tmp_path / "x.npy", ValueError("numpy's words")) == told
