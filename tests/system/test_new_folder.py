"""Folders that appear when they are complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from vggrepro.errors import DataError
from vggrepro.system.new_folder import new_folder


def test_the_name_appears_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / ("\udcff" + "\U0001d538" * 60)
    with new_folder(path) as folder:
        (folder / "file").write_text("content")
        assert folder.parent == tmp_path and not path.exists()
    assert (path / "file").read_text() == "content"
    assert path.stat().st_mode & 0o777 == 0o755
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), new_folder(tmp_path / "new") as folder:
        (folder / "file").write_text("content")
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_no_name_is_taken(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "folder").mkdir()
    for name in ("link", "folder"):
        with pytest.raises(DataError, match=f"{name}: exists already"), new_folder(tmp_path / name):
            pass
    with pytest.raises(FileNotFoundError) as caught, new_folder(tmp_path / "absent" / "new"):
        pass
    assert caught.value.filename == str(tmp_path / "absent" / "new")


@pytest.mark.parametrize("other", ["a full folder", "a file"])
def test_a_name_that_another_process_takes_meanwhile_stays_its(tmp_path: Path, other: str) -> None:
    path = tmp_path / "new"
    with pytest.raises(DataError, match="new: exists already, expected a new name"), new_folder(path):
        if other == "a file":
            path.touch()
        else:
            (path / "inside").mkdir(parents=True)
    assert list(tmp_path.iterdir()) == [path]
