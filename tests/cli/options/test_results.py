"""Where results go."""

from __future__ import annotations

from pathlib import Path

import pytest

from vggrepro.cli.options.results import check_outputs


def test_files_that_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text("")
    check_outputs(None, tmp_path / "new.json", tmp_path / "old.json")
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"]


def test_files_that_cannot(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        check_outputs(tmp_path)
    with pytest.raises(FileNotFoundError) as raised:
        check_outputs(tmp_path / "no" / "r.json")
    assert raised.value.filename == str(tmp_path / "no")
