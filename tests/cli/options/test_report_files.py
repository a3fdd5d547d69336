"""The files of a report: which are written, and with what."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import pytest
from report_case import make_report

from vggrepro.cli.options.read import read
from vggrepro.cli.options.report_files import ReportFiles, add_report_options
from vggrepro.data.sources import open_images
from vggrepro.errors import ImageTooLargeError
from vggrepro.evaluation.measuring.pipeline import ImageSet
from vggrepro.evaluation.measuring.rescaled_image import ImageReading
from vggrepro.evaluation.reporting.report import Report, to_json, to_markdown


def files(*arguments: str) -> ReportFiles:
    parser = argparse.ArgumentParser()
    add_report_options(parser)
    return read(ReportFiles, parser.parse_args(arguments))


@pytest.fixture
def source(images: Path) -> ImageSet:
    return ImageSet.whole(open_images(images / "images"))


@pytest.fixture
def report() -> Report:
    return make_report()


def test_options_name_files(tmp_path: Path) -> None:
    assert files() == ReportFiles(None, None, None)
    given = files("--json", "a", "--markdown", "b", "--html", "c", "--csv", "d")
    assert given == ReportFiles(Path("a"), Path("b"), Path("c"), Path("d"))


def test_what_is_asked_for_is_written_and_nothing_else(
    tmp_path: Path, source: ImageSet, report: Report
) -> None:
    (tmp_path / "out").mkdir()
    ReportFiles().write(report, source)
    assert list((tmp_path / "out").iterdir()) == []
    ReportFiles(*(tmp_path / "out" / name for name in ("r.json", "r.md", "r.html"))).write(report, source)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["r.html", "r.json", "r.md"]
    written = json.loads((tmp_path / "out" / "r.json").read_text("utf-8"))
    assert written == json.loads(json.dumps(to_json(report)))
    assert (tmp_path / "out" / "r.md").read_text("utf-8") == to_markdown(report)
    page = (tmp_path / "out" / "r.html").read_text("utf-8")
    assert page.count("data:image/jpeg;base64,") == len(report.results.worst)


def test_thumbnails_are_read_as_the_images_were(tmp_path: Path, source: ImageSet, report: Report) -> None:
    bounded = replace(source, reading=ImageReading(max_pixels=9))
    with pytest.raises(ImageTooLargeError, match="expected at most 9"):
        ReportFiles(html=tmp_path / "r.html").write(report, bounded)
    assert not (tmp_path / "r.html").exists()


def test_names_that_are_not_utf8_are_escaped(tmp_path: Path, source: ImageSet, report: Report) -> None:
    odd = replace(report, counts=replace(report.counts, bad={"caf\udce9.jpg": "no image"}))
    ReportFiles(markdown=tmp_path / "r.md").write(odd, source)
    assert b"caf\\udce9.jpg" in (tmp_path / "r.md").read_bytes()


@pytest.mark.parametrize("name", ["json", "csv", "markdown", "html"])
def test_each_file_is_checked(tmp_path: Path, name: str) -> None:
    ReportFiles(**{name: tmp_path / "r"}).check()
    with pytest.raises(FileNotFoundError):
        ReportFiles(**{name: tmp_path / "none" / "r"}).check()
