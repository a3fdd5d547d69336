"""The eval_ilsvrc command on the embedded miniature of ILSVRC."""

import csv
import json

from vggrepro.cli.eval_ilsvrc import main
from vggrepro.evaluation import demo
from vggrepro.net import load_net


def test_the_command_prints_centre_and_dense(capsys):
    assert main(["--demo", "--protocol", "centre", "--scales", "72", "--no-flip"]) == 0
    centre = capsys.readouterr().out
    assert main(["--demo", "--protocol", "dense", "--scales", "72", "--no-flip"]) == 0
    dense = capsys.readouterr().out
    assert "6.40 (" in centre
    assert "4.40 (" in dense
    assert main(["--demo", "--no-flip"]) == 0  # one option of a protocol is enough to describe one
    assert capsys.readouterr().out == dense


def test_a_sample_is_the_same_for_the_same_seed(tmp_path, capsys):
    found = []
    for number, seed in enumerate(["3", "3", "4"]):
        path = tmp_path / f"{number}.json"
        options = ["--protocol", "dense", "--scales", "64", "--no-flip", "--limit", "40"]
        assert main(["--demo", *options, "--seed", seed, "--json", str(path)]) == 0
        found.append(json.loads(path.read_text()))
    capsys.readouterr()
    assert [f["images"]["evaluated"] for f in found] == [40, 40, 40]
    worst = [[w["image"] for w in f["worst"]] for f in found]
    classes = [[c["images_counted"] for c in f["classes"]] for f in found]
    assert worst[0] == worst[1]
    assert classes[0] == classes[1] != classes[2]


def test_an_expectation_that_is_missed_is_exit_code_1(capsys):
    options = ["--demo", "--protocol", "dense", "--scales", "72", "--no-flip"]
    assert main([*options, "--expect", "4.3,0.4", "--tolerance", "0.2"]) == 0
    assert main([*options, "--expect", "4.0,0.4", "--tolerance", "0.2"]) == 1
    assert "missed" in capsys.readouterr().err


def test_given_errors_take_the_place_of_the_papers(capsys):
    """A row of Table 3 at the scale of the digits is wrong for most of them; that may be what is expected."""
    files = ["--weights", f"D:256={demo.FILES.weights}", "--deploy", f"D:256={demo.FILES.deploy}"]
    images = ["--images", str(demo.IMAGES), "--labels", str(demo.LABELS), "--limit", "20"]
    command = ["--table", "3", "--row", "D:256", *files, *images, "--tolerance", "50"]
    assert main([*command, "--expect", "100,50"]) == 0
    assert main([*command, "--expect", "paper"]) == 1
    assert "--expect: 100.0 / 50.0" in capsys.readouterr().out


def test_a_tolerance_of_nothing(capsys):
    assert main(["--demo", "--limit", "5", "--tolerance", "0.5"]) == 2
    assert "--tolerance: expected --expect with it" in capsys.readouterr().err


def test_errors_as_a_table(tmp_path, capsys):
    files = tmp_path / "r.json", tmp_path / "r.csv"
    options = ["--protocol", "both", "--scales", "64,72", "--no-flip", "--limit", "20"]
    assert main(["--demo", *options, "--json", str(files[0]), "--csv", str(files[1])]) == 0
    report, rows = json.loads(files[0].read_text()), list(csv.DictReader(files[1].open()))
    assert rows[0]["model"] == report["what"]
    assert {row["model"]: (float(row["top1_err"]), float(row["top5_err"])) for row in rows} == {
        found["what"]: (found["top1_error_percent"], found["top5_error_percent"])
        for found in [report, *report["parts"]]
    }
    parameters = load_net(demo.FILES.deploy, demo.FILES.weights).params.values()
    assert {float(row["param_count"]) for row in rows} == {sum(p.size for p in parameters) / 1e6}
    assert "64;72" in rows[0]["img_size"]
    assert {row["interpolation"] for row in rows} == {"bilinear"}
    capsys.readouterr()
