"""Where results go."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from vggrepro.cli.options.results import check_outputs
from vggrepro.errors import OptionError


@dataclass(frozen=True)
class Inner:
    weights: tuple[str, ...] = ()
    labels: Path | None = None


@dataclass(frozen=True)
class Options:
    output: Path | None = None
    json: Path | None = None
    images: tuple[Path, ...] = ()
    title: str = ""
    inner: Inner = Inner()


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
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError) as refused:
        check_outputs(tmp_path / "file" / "r.json")
    assert refused.value.filename == str(tmp_path / "file")


def test_names_that_are_too_long_or_none(tmp_path: Path) -> None:
    check_outputs(tmp_path / ("卷" * 85))
    with pytest.raises(OSError, match="File name too long"):
        check_outputs(tmp_path / ("卷" * 86))
    with pytest.raises(OSError, match="NUL"):
        check_outputs(tmp_path / "a\0b")


def test_a_link_is_looked_at_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "no" / "r.json")
    with pytest.raises(FileNotFoundError) as raised:
        check_outputs(tmp_path / "link")
    assert raised.value.filename == str(tmp_path / "no")


@pytest.mark.parametrize("kind", ["itself", "relative", "symlink", "hard link"])
@pytest.mark.parametrize("place", ["images", "labels", "weights", "NET=weights"])
def test_what_is_read_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, place: str
) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    source.write_text("work")
    if kind == "itself":
        output = Path(str(source))
    elif kind == "relative":
        monkeypatch.chdir(tmp_path)
        output = Path("in")
    elif kind == "symlink":
        output.symlink_to(source)
    else:
        os.link(source, output)
    options = {
        "images": Options(output, images=(tmp_path / "other", source)),
        "labels": Options(output, inner=Inner(labels=source)),
        "weights": Options(output, inner=Inner((str(source),))),
        "NET=weights": Options(output, inner=Inner((f"D={source}",))),
    }[place]
    with pytest.raises(OptionError, match="is read, and would be overwritten"):
        check_outputs(options.output, options=options)
    assert source.read_text() == "work"


def test_other_options_are_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("r.json").write_text("")
    options = Options(Path("r.json"), title="r.json", images=(Path("i"),))
    check_outputs(options.output, options=options)


def test_two_results_in_one_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "r.json")
    for other in (tmp_path / "r.json", tmp_path / "link", tmp_path / "x" / ".." / "r.json"):
        with pytest.raises(OptionError, match="two results cannot go to one file"):
            (tmp_path / "x").mkdir(exist_ok=True)
            check_outputs(tmp_path / "r.json", None, other)
