"""The eval_ilsvrc command: images that were squashed to squares."""

import json

import cv2

from vggrepro.cli.eval_ilsvrc import main
from vggrepro.data.squashed import COST


def test_squashed_images_are_warned_of_in_one_line(nets, images, tmp_path, capsys):
    network = ["--weights", f"one={nets[0].weights}", "--deploy", str(nets[0].deploy), "--threads", "1"]
    truth = ["--images", str(images / "images"), "--labels", str(images / "val.txt")]
    command = [*network, *truth, "--scales", "9", "--mean", "1", "--json", str(tmp_path / "r.json")]
    for path in (images / "images").iterdir():
        cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path)), (12, 12)))
    assert main(command) == 0
    printed = capsys.readouterr()
    (line,) = [line for line in printed.err.splitlines() if "12 x 12" in line]
    assert line.startswith("warning: ")
    assert "squashing lowers accuracy" in line
    assert json.loads((tmp_path / "r.json").read_text())["images"]["squashed"] in printed.out
    assert main([*command, "--resize", "warp"]) == 0  # who asks for squares need not be warned
    assert "12 x 12" not in capsys.readouterr().err


def test_the_cost_that_is_told_is_the_demos(tmp_path):
    command = ["--demo", "--protocol", "dense", "--scales", "64,72,80", "--no-flip"]
    errors = []
    for resize in ("keep-aspect", "warp"):
        assert main([*command, "--resize", resize, "--json", str(tmp_path / "r.json")]) == 0
        errors.append(json.loads((tmp_path / "r.json").read_text())["top1_error_percent"])
    assert COST.startswith(f"{errors[1] - errors[0]:.1f} points of top-1 error")
