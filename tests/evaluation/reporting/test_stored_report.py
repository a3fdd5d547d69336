"""The report of an earlier run, read again."""

import hashlib
import json

import pytest

from vggrepro.errors import DataError
from vggrepro.evaluation.reporting.stored_report import FORMAT, InputHash, read_report

SETTINGS = {
    "command": ["--demo"],
    "directory": "/there",
    "images": "val.tar",
    "files": {"labels": {"file": "val.txt", "sha256": "1" * 64}},
    "net_files": [
        {
            "name": "D",
            "weights_file": "d.caffemodel",
            "weights_sha256": "2" * 64,
            "prototxt_file": "d.prototxt",
            "prototxt_sha256": "3" * 64,
        }
    ],
    "images_fingerprint": {"listing_sha256": "4" * 64, "samples_sha256": "5" * 64},
}
RESULTS = {"row": {"top1_wrong": 7, "top1_error_percent": 3.5, "flag": True, "what": "words"}}
REPORT = {
    "format": FORMAT,
    "name": "row",
    "results": RESULTS,
    "worst": [1, 2],
    "seconds": 9.5,
    "settings": SETTINGS,
}


def stored(folder, **changed):
    path = folder / "r.json"
    path.write_text(json.dumps({**REPORT, **changed}))
    return read_report(path)


def test_everything_that_was_read_has_a_hash(tmp_path):
    report = stored(tmp_path)
    assert report.command == ("--demo",)
    assert report.inputs == {
        "weights of D": InputHash("d.caffemodel", "2" * 64),
        "prototxt of D": InputHash("d.prototxt", "3" * 64),
        "labels": InputHash("val.txt", "1" * 64),
        "names of all images": InputHash("val.tar", "4" * 64),
        "contents of up to eight images": InputHash("val.tar", "5" * 64),
    }
    report.check(SETTINGS)
    changed = {"files": {"labels": {"file": "new.txt", "sha256": "6" * 64}}}
    with pytest.raises(
        DataError, match=r"new\.txt: labels changed since .*r\.json: SHA-256 6{16}\.\.\., expected 1{16}"
    ):
        report.check(changed)
    with pytest.raises(DataError, match=r"b\.txt: the run of .*r\.json did not read blacklist"):
        report.check({"files": {"blacklist": {"file": "b.txt", "sha256": "6" * 64}}})


def test_numbers_that_differ_are_named_with_their_place(tmp_path):
    report = stored(tmp_path)
    assert report.differences({**REPORT, "seconds": 1.0, "settings": {"other": 5}, "notices": [3]}) == []
    close = {"row": {**RESULTS["row"], "top1_error_percent": 3.500001}}
    assert report.differences({**REPORT, "results": close}) == []
    other = {"row": {"top1_wrong": 8, "top1_error_percent": 4.0}}
    assert report.differences({**REPORT, "results": other, "worst": [1, 2, 5]}) == [
        f"results > row > top1_wrong: 7 in {report.path}, now 8",
        f"results > row > top1_error_percent: 3.5 in {report.path}, now 4.0",
        f"worst > 2: nothing in {report.path}, now 5",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (json.dumps(REPORT)[:-9], "no JSON"),
        ("\xff\xfe", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "no report of eval_ilsvrc"),
        ('{"a": 1}', "no report of eval_ilsvrc"),
        (json.dumps({**REPORT, "format": 1}), f"a report of version 1, expected {FORMAT}"),
        (json.dumps({**REPORT, "format": None}), f"a report of version None, expected {FORMAT}"),
        (json.dumps({**REPORT, "settings": 3}), "a damaged report"),
        (json.dumps({**REPORT, "settings": {**SETTINGS, "command": [1]}}), "a damaged report"),
        (json.dumps({**REPORT, "settings": {**SETTINGS, "command": "--demo"}}), "a damaged report"),
        (json.dumps({**REPORT, "settings": {**SETTINGS, "directory": None}}), "a damaged report"),
        (json.dumps({**REPORT, "settings": {**SETTINGS, "files": {"labels": {}}}}), "a damaged report"),
        (json.dumps({**REPORT, "settings": {**SETTINGS, "net_files": [{}]}}), "a damaged report"),
    ],
)
def test_what_is_no_report_of_this_version_is_refused(tmp_path, content, message):
    (tmp_path / "r.json").write_text(content, "latin-1")
    with pytest.raises(DataError, match=f"r\\.json: {message}"):
        read_report(tmp_path / "r.json")
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_report(tmp_path / "nothing.json")


CSV = "image,truth,rank\na.png,1,1\nb.png,2,6\n"


def with_predictions(folder, content=CSV):
    named = {"file": "p.csv", "sha256": hashlib.sha256(content.encode()).hexdigest()}
    return stored(folder, settings={**SETTINGS, "predictions": named})


def test_predictions_are_found_beside_a_report_that_was_moved(tmp_path):
    (tmp_path / "p.csv").write_text(CSV)
    found = with_predictions(tmp_path).answers()
    assert (found.where, found.name, list(found.keys)) == (
        str(tmp_path / "r.json"),
        "row",
        ["a.png", "b.png"],
    )
    assert found.combinations["row"].tolist() == found.ranks.tolist() == [0, 5]


def test_predictions_that_are_missing_or_changed_are_refused(tmp_path):
    with pytest.raises(DataError, match="names no predictions of its run"):
        stored(tmp_path).answers()
    with pytest.raises(DataError, match=r"its predictions p\.csv cannot be read: No such file"):
        with_predictions(tmp_path).answers()
    (tmp_path / "p.csv").write_text(CSV)
    with pytest.raises(DataError, match=r"p\.csv: changed since .*r\.json was written"):
        with_predictions(tmp_path, CSV + "c.png,1,1\n").answers()
    with pytest.raises(DataError, match="a damaged report"):
        stored(tmp_path, settings={**SETTINGS, "predictions": "p.csv"}).answers()
