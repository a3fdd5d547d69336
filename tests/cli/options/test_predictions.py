"""Where predictions go: names, and what has no use without the true classes."""

from pathlib import Path

import pytest

from vggrepro.cli.options.predictions import PredictionOptions
from vggrepro.cli.options.report_files import ReportFiles
from vggrepro.errors import OptionError


def test_names_tell_the_format(tmp_path):
    for name in ("p.csv", "p.txt"):
        options = PredictionOptions(tmp_path / name)
        assert options.check(options) is None
    options = PredictionOptions(tmp_path / "p.json")
    with pytest.raises(OptionError, match=r"p\.json: expected a name that ends in \.csv, or in \.txt"):
        options.check(options)


def test_predictions_do_not_overwrite_those_that_they_are_compared_with(tmp_path):
    other = tmp_path / "p.csv"
    other.write_text("image\n")
    options = PredictionOptions(other, tmp_path / "p.csv")
    with pytest.raises(OptionError, match="would be overwritten"):
        options.check(options)


def test_without_labels_only_predictions_can_be_written():
    nothing = ReportFiles(None, None, None)
    with pytest.raises(OptionError, match="--no-labels: expected --predictions FILE"):
        PredictionOptions().check_unlabelled(nothing)
    PredictionOptions(Path("p.csv")).check_unlabelled(nothing)
    with pytest.raises(OptionError, match="--compare"):
        PredictionOptions(Path("p.csv"), Path("q.csv")).check_unlabelled(nothing)
    with pytest.raises(OptionError, match="--html"):
        PredictionOptions(Path("p.csv")).check_unlabelled(ReportFiles(None, None, Path("r.html")))
