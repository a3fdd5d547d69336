"""Caffe's window files."""

from __future__ import annotations

from pathlib import Path

import pytest

from vggrepro.data.feeds.window_file import Window, read_window_file
from vggrepro.errors import DataError

TEXT = """# 0
a.jpg
3
20
30
3
5 0.5 1 2 3 4
6 0.49 0 0 9 9
7 0.3 2 2 5 5
# 1
b.jpg 3 8 9
1
2 1.0 0 0 7 7
"""


def parse(folder: Path, text: str, fg: float = 0.5, bg: float = 0.4) -> object:
    (folder / "windows.txt").write_text(text)
    return read_window_file(folder / "windows.txt", fg, bg)


def test_windows_by_overlap(tmp_path: Path) -> None:
    found = parse(tmp_path, TEXT)
    assert found.images == ("a.jpg", "b.jpg")
    assert found.foreground == (Window(0, 5, 1, 2, 3, 4), Window(1, 2, 0, 0, 7, 7))
    assert found.background == (Window(0, 0, 2, 2, 5, 5),)  # its class counts no more


def test_thresholds_are_float32(tmp_path: Path) -> None:
    """0.7 as float32 is above 0.7 as float64: read as float32, an overlap of 0.7 reaches it."""
    assert len(parse(tmp_path, TEXT.replace("5 0.5", "5 0.7"), fg=0.7).foreground) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Window file is empty"),
        ("0 a.jpg", "expected '#' before image 0, got '0'"),
        (TEXT.replace("# 1", "# 2"), "image 2 where image 1 should come"),
        (TEXT.replace("3\n20", "1\n20"), "image 0 has 1 channels: Caffe reads 3"),
        (TEXT.replace("5 0.5", "0 0.5"), "image 0: a foreground window of class 0"),
        (TEXT.replace("1 2 3 4", "1 2 3.5 4"), "word 12: expected x2, a number, got '3.5'"),
        (TEXT[:-5], "ends after 36 words, where x2 should come"),
    ],
)
def test_damage(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        parse(tmp_path, text)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Failed to open window file .*none"):
        read_window_file(tmp_path / "none", 0.5, 0.5)
