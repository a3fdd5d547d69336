"""An evaluation run again from its report alone, and compared with another run's report."""

import json
import shutil

import numpy as np
import pytest

from vggrepro.cli.eval_ilsvrc import main
from vggrepro.evaluation import demo


@pytest.fixture
def run(nets, images, tmp_path, monkeypatch):
    """The command of a run with relative names, in the folder that it was started in."""
    monkeypatch.chdir(tmp_path)
    network = ["--weights", "one=one.caffemodel", "--deploy", "one=one.prototxt", "--threads", "1"]
    (tmp_path / "blacklist.txt").write_text("2\n")
    truth = ["--images", "images", "--labels", "val.txt", "--blacklist", "blacklist.txt"]
    np.save("mean.npy", np.full((3, 9, 9), 100, np.float32))
    network += ["--mean", "mean.npy", "--mean-as", "pixel"]
    return [*network, *truth, "--protocol", "both", "--scales", "9,12", "--limit", "15", "--seed", "4"]


def stderr(capsys):
    lines = capsys.readouterr().err.splitlines()
    return [
        line for line in lines if line.strip() and "img/s" not in line and not line.startswith("warning: ")
    ]


def error_line(capsys):
    (line,) = stderr(capsys)
    assert line.startswith("error: ")
    return line


def test_the_same_numbers_from_the_report_alone(run, tmp_path, capsys, monkeypatch):
    out = ["--json", "r.json", "--html", "r.html", "--cache", "views", "--predictions", "p.csv"]
    assert main([*run, *out]) == 0
    settings = json.loads((tmp_path / "r.json").read_text())["settings"]
    assert settings["directory"] == str(tmp_path)
    assert settings["files"].keys() == {"labels", "blacklist", "mean"}
    page = (tmp_path / "r.html").read_text()
    for file in (*settings["files"].values(), settings["net_files"][0]):
        assert file.get("sha256", file.get("weights_sha256")) in page
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.*") if path.is_file()}
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    capsys.readouterr()
    assert main(["--repeat", "../r.json"]) == 0
    assert stderr(capsys) == ["every number is as in ../r.json"]
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.*") if path.is_file()} == before
    assert main(["--repeat", "../r.json", "--json", "again.json", "--workers", "1", "--batch", "3"]) == 0
    assert main(["--repeat", "again.json"]) == 0


def test_a_number_that_differs_is_a_line_and_exit_code_1(run, tmp_path, capsys):
    assert main([*run, "--json", "r.json"]) == 0
    report = json.loads((tmp_path / "r.json").read_text())
    name, wrong = report["name"], report["top1_wrong"]
    report["top1_wrong"] += 1
    report["results"][name]["top5_error_percent"] += 0.01
    (tmp_path / "other.json").write_text(json.dumps(report))
    capsys.readouterr()
    assert main(["--repeat", "other.json"]) == 1
    first, second = stderr(capsys)
    assert first == f"differs: top1_wrong: {wrong + 1} in other.json, now {wrong}"
    assert second.startswith(f"differs: results > {name} > top5_error_percent: ")


FILES = ["one.caffemodel", "one.prototxt", "val.txt", "blacklist.txt", "mean.npy"]


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_named_before_the_work(run, tmp_path, capsys, name, monkeypatch):
    assert main([*run, "--json", "r.json"]) == 0
    with (tmp_path / name).open("ab") as file:
        file.write(b"\n")
    capsys.readouterr()
    monkeypatch.setattr("vggrepro.evaluation.evaluate.evaluate", None)
    assert main(["--repeat", "r.json"]) == 2
    assert f"{name}: " in (line := error_line(capsys))
    assert "changed since r.json" in line


def test_images_that_changed_are_named(run, tmp_path, capsys, monkeypatch):
    assert main([*run, "--json", "r.json"]) == 0
    (tmp_path / "images" / "val_000.png").write_bytes((tmp_path / "images" / "val_001.png").read_bytes())
    monkeypatch.setattr("vggrepro.evaluation.evaluate.evaluate", None)
    capsys.readouterr()
    assert main(["--repeat", "r.json"]) == 2
    assert "images: contents of up to eight images changed since r.json" in error_line(capsys)


def test_files_that_moved_are_given_by_their_options(run, tmp_path, capsys):
    assert main([*run, "--json", "r.json"]) == 0
    (tmp_path / "new").mkdir()
    for name in ("images", "val.txt", "one.caffemodel"):
        shutil.move(name, tmp_path / "new" / name)
    capsys.readouterr()
    assert main(["--repeat", "r.json"]) == 2
    assert "No such file or directory" in error_line(capsys)
    moved = ["--images", "new/images", "--labels", "new/val.txt", "--weights", "new/one.caffemodel"]
    assert main(["--repeat", "r.json", *moved]) == 0
    assert stderr(capsys) == ["every number is as in r.json"]


def test_a_repetition_does_not_overwrite_its_report(run, tmp_path, capsys):
    assert main([*run, "--json", "r.json"]) == 0
    before = (tmp_path / "r.json").read_bytes()
    capsys.readouterr()
    assert main(["--repeat", "r.json", "--json", "r.json"]) == 2
    assert "is read, and would be overwritten" in error_line(capsys)
    assert (tmp_path / "r.json").read_bytes() == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "r.json: no JSON"),
        (b'{"format": 2, "sett', "r.json: no JSON"),
        (b"{}", "no report of eval_ilsvrc"),
        (b'{"format": 1, "settings": {}}', "a report of version 1"),
        (
            b'{"format": 2, "settings": {"command": ["--x"], "directory": "/"}, "name": "a"}',
            "none of this version",
        ),
    ],
)
def test_what_is_no_report_is_one_line(tmp_path, capsys, monkeypatch, content, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.json").write_bytes(content)
    for option in ("--repeat", "--compare"):
        if message != "none of this version" or option == "--repeat":
            command = ["--demo", option, "r.json"] if option == "--compare" else [option, "r.json"]
            assert main(command) == 2
            assert message in error_line(capsys)
    assert main(["--repeat", "nothing.json"]) == 2
    assert "nothing.json: cannot be read: No such file" in error_line(capsys)


def test_the_demo_is_repeated_too(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    protocol = ["--protocol", "dense", "--scales", "72", "--no-flip", "--limit", "20"]
    assert main(["--demo", *protocol, "--json", "r.json"]) == 0
    files = json.loads((tmp_path / "r.json").read_text())["settings"]["files"]
    assert files["labels"]["file"] == str(demo.LABELS)
    assert main(["--repeat", "r.json"]) == 0


def test_another_runs_report_names_its_predictions(run, nets, tmp_path, capsys):
    """Two combinations of each run, paired by their names."""
    rows = ["--table", "3", "--row", "D:256", "--row", "D:384", "--limit", "3", "--seed", "1"]
    truth = ["--images", "images", "--labels", "val.txt"]

    def nets_of(name):
        keys = ("D:256", "D:384")
        files = [word for key in keys for word in ("--weights", f"{key}={name}.caffemodel")]
        return [*files, *(word for key in keys for word in ("--deploy", f"{key}={name}.prototxt"))]

    out = ["--json", "one.json", "--predictions", "one.csv"]
    assert main([*rows, *truth, *nets_of("one"), *out]) == 0
    capsys.readouterr()
    out = ["--json", "two.json", "--html", "two.html"]
    assert main([*rows, *truth, *nets_of("two"), "--compare", "one.json", *out]) == 0
    assert "against one.json on 3 common images" in capsys.readouterr().out
    ones, twos = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "two"))
    assert list(twos["comparison"]["rows"]) == ["table 3, D:256", "table 3, D:384"]
    for name, row in twos["comparison"]["rows"].items():
        for kind in ("top1", "top5"):
            more = twos["results"][name][f"{kind}_wrong"] - ones["results"][name][f"{kind}_wrong"]
            assert row[kind]["only_theirs"] - row[kind]["only_ours"] == more
    assert "Compared with another run" in (tmp_path / "two.html").read_text()
    assert main(["--repeat", "two.json"]) == 0
    other = [*rows[:-1], "2", *truth, *nets_of("two"), "--compare", "one.json"]
    capsys.readouterr()
    assert main(other) == 2
    assert "one.json: not the same images: " in error_line(capsys)
    with (tmp_path / "one.csv").open("a") as file:
        file.write("more\n")
    assert main([*rows, *truth, *nets_of("two"), "--compare", "one.json"]) == 2
    assert "one.csv: changed since one.json was written" in error_line(capsys)
