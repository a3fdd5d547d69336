"""eval_ilsvrc: answers for every image, and a run compared with another."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from vggrepro.cli.eval_ilsvrc import main
from vggrepro.evaluation.net_files import NetFiles
from vggrepro.evaluation.predictions import read_answers


def argv(net: NetFiles, images: Path, *options: str) -> list[str]:
    network = [f"one={net.weights}", "--deploy", f"one={net.deploy}", "--threads", "1"]
    views = ["--protocol", "centre", "--scales", "9", "--images", str(images / "images")]
    return ["--weights", *network, *views, "--labels", str(images / "val.txt"), *options]


def synsets(path: Path, order: list[int]) -> Path:
    path.write_text("".join(f"n{label:08}\n" for label in order))
    return path


def test_predictions_agree_with_the_report(
    nets: list[NetFiles], images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, report = tmp_path / "one.csv", tmp_path / "r.json"
    assert main(argv(nets[0], images, "--predictions", str(out), "--json", str(report))) == 0
    ranks = read_answers(out).ranks
    first: dict[str, Any] = json.loads(report.read_text())
    assert len(ranks) == first["images_counted"] == 23
    assert (ranks >= 1).sum() == first["top1_wrong"]
    assert (ranks >= 5).sum() == first["top5_wrong"]
    capsys.readouterr()
    assert main(argv(nets[1], images, "--compare", str(out), "--json", str(report))) == 0
    found = json.loads(report.read_text())
    pair = found["comparison"]["top1"]
    assert pair["only_theirs"] - pair["only_ours"] == found["top1_wrong"] - first["top1_wrong"]
    assert f"against {out} on 23 common images: top-1 error" in capsys.readouterr().out


def test_the_contests_format(nets: list[NetFiles], images: Path, tmp_path: Path) -> None:
    order = [3, 0, 6, 5, 1, 2, 4]
    known = ["--synsets", str(synsets(tmp_path / "s", list(range(7))))]
    known += ["--devkit", str(synsets(tmp_path / "d", order))]
    assert main(argv(nets[0], images, *known, "--predictions", str(tmp_path / "p.txt"))) == 0
    assert main(argv(nets[0], images, *known, "--predictions", str(tmp_path / "p.csv"))) == 0
    told = [line.split(",") for line in (tmp_path / "p.csv").read_text().splitlines()[1:]]
    expected = [" ".join(str(order.index(int(c)) + 1) for c in row[3::2]) for row in sorted(told)]
    assert (tmp_path / "p.txt").read_text().splitlines() == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--predictions", "p.json"], "expected a name that ends in .csv, or in .txt"),
        (["--predictions", "p.txt"], "the contest's format needs --devkit"),
        (["--predictions", "no/p.csv"], "no: No such file"),
        (["--compare", "nothing.csv"], "nothing.csv: cannot be read as CSV"),
    ],
)
def test_what_cannot_be_done_is_said_before_the_work(
    nets: list[NetFiles],
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(argv(nets[0], images, *options)) == 2
    (line,) = [t for t in capsys.readouterr().err.splitlines() if not t.startswith("warning: no --mean")]
    assert message in line


def test_a_sample_is_no_submission(
    nets: list[NetFiles], images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = ["--synsets", str(synsets(tmp_path / "s", list(range(7))))]
    known += ["--devkit", str(synsets(tmp_path / "d", list(range(7)))), "--limit", "3"]
    assert main(argv(nets[0], images, *known, "--predictions", str(tmp_path / "p.txt"))) == 2
    assert "has a line for each of 23 images, but 3 are evaluated" in capsys.readouterr().err
    assert not (tmp_path / "p.txt").exists()


def test_images_without_labels(nets: list[NetFiles], images: Path, tmp_path: Path) -> None:
    assert main(argv(nets[0], images, "--predictions", str(tmp_path / "known.csv"))) == 0
    unlabelled = [o for o in argv(nets[0], images) if o not in ("--labels", str(images / "val.txt"))]
    out = tmp_path / "unknown.csv"
    assert main([*unlabelled, "--no-labels", "--predictions", str(out)]) == 0
    known = [line.split(",") for line in (tmp_path / "known.csv").read_text().splitlines()]
    expected = [known[0], *([row[0], "", "", *row[3:]] for row in known[1:])]
    assert [line.split(",") for line in out.read_text().splitlines()] == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--labels: leave out this or --no-labels"),
        (["--predictions", "p.csv"], "--labels: leave out this or --no-labels"),
    ],
)
def test_labels_that_are_not_to_be_used(
    nets: list[NetFiles], images: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main(argv(nets[0], images, "--no-labels", *options)) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--no-labels: expected --predictions FILE with it"),
        (["--predictions", "{0}/p.csv", "--json", "{0}/r.json"], "--json: leave out this or --no-labels"),
        (["--predictions", "{0}/p.txt"], "the contest's format needs --devkit"),
    ],
)
def test_what_has_no_use_without_labels(
    nets: list[NetFiles],
    images: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    unlabelled = [o for o in argv(nets[0], images) if o not in ("--labels", str(images / "val.txt"))]
    given = [option.format(tmp_path) for option in options]
    assert main([*unlabelled, "--no-labels", *given]) == 2
    assert message in capsys.readouterr().err


def test_the_report_holds_the_command_and_what_it_read(
    nets: list[NetFiles], images: Path, tmp_path: Path
) -> None:
    command = argv(nets[0], images, "--limit", "5", "--seed", "3", "--json", str(tmp_path / "r.json"))
    assert main(command) == 0
    settings = json.loads((tmp_path / "r.json").read_text())["settings"]
    assert settings["command"] == command
    assert settings["sample"] == {"limit": 5, "seed": 3}
    digest = hashlib.sha256((images / "val.txt").read_bytes()).hexdigest()
    assert settings["files"] == {"labels": {"file": str(images / "val.txt"), "sha256": digest}}
    assert settings["images_fingerprint"].keys() == {"listing_sha256", "samples_sha256"}
