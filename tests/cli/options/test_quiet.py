"""``--quiet`` in every command that says something beside its results, and what it says last."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
from golden_suite import ROOT

from vggrepro.cli.main import COMMANDS, main
from vggrepro.evaluation import demo

DEPLOY, MODEL = str(demo.FILES.deploy), str(demo.FILES.weights)
JPEG = str(ROOT / "images" / "astronaut.jpg")
SMALL = ["--input-shape", "data=1,3,64,64"]

TALKING: dict[str, tuple[list[str], str]] = {
    "convert-caffemodel": (
        [DEPLOY, MODEL, "-o", "m.onnx"],
        "run it: onnxruntime.InferenceSession('m.onnx').run(None, {'data': array});"
        " --verify compares it with a float64 reference",
    ),
    "migrate-opencv": ([DEPLOY, MODEL, "-o", "m.onnx", *SMALL], ""),
    "to-caffe": (
        ["small.onnx", "-o", "back", *SMALL],
        "vggrepro convert-caffemodel back.prototxt back.caffemodel -o back.onnx --verify",
    ),
    "upgrade-prototxt": ([DEPLOY, "-o", "new.prototxt"], "vggrepro inspect-net new.prototxt"),
    "record-reference": ([DEPLOY, MODEL, "--case", "a case"], "vggrepro check-reference 'a case'"),
    "classify": ([JPEG], ""),
    "extract-features": (["pictures", "--demo", "-o", "f.npy"], ""),
    "eval-ilsvrc": (
        ["--demo", "--limit", "4", "--protocol", "centre", "--scales", "72", "--json", "r.json"],
        "vggrepro eval-ilsvrc --repeat r.json checks every number again",
    ),
    "train-ilsvrc": (["--config", "solver.prototxt"], "vggrepro plot-training run.jsonl -o curves.png"),
    "compute-statistics": (
        ["pictures", "-o", "s.json"],
        "vggrepro train-ilsvrc --statistics s.json ...",
    ),
}
"""Command lines that say something on stderr, and the next step that is named in the end, if one is."""

SILENT = {
    "inspect-net": "its result is all that it says",
    "check-reference": "likewise; the option leaves out its tables: see tests/cli/test_check_reference.py",
    "plot-training": "likewise",
    "show": "likewise",
    "run-pycaffe": "the script speaks",
    "caffe": "its log is Caffe's",
}
"""Commands that say nothing else, and why."""

SOLVER = """
net: "net.prototxt" solver_mode: CPU base_lr: 0.1 lr_policy: "fixed" max_iter: 2 display: 1
snapshot_prefix: "run"
"""
NET = """
layer { name: "in" type: "DummyData" top: "x" top: "y" dummy_data_param {
  shape { dim: 2 dim: 3 } shape { dim: 2 } data_filler { type: "gaussian" } data_filler { value: 0 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip"
  inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "y" top: "loss" }
"""


def test_every_command_is_here() -> None:
    assert {*TALKING, *SILENT} == set(COMMANDS)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("solver.prototxt").write_text(SOLVER)
    Path("net.prototxt").write_text(NET)
    Path("pictures").mkdir()
    cv2.imwrite("pictures/a.png", cv2.imread(JPEG)[:80, :90])
    assert main(["convert-caffemodel", DEPLOY, MODEL, "-o", "small.onnx", *SMALL, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    return tmp_path


@pytest.mark.parametrize("command", TALKING)
def test_quiet_leaves_the_results_alone(
    command: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, following = TALKING[command]
    assert main([command, *arguments, "--quiet"]) == 0
    quiet = capsys.readouterr()
    for path in folder.glob("run_iter*"):
        path.unlink()
    assert main([command, *arguments]) == 0
    loud = capsys.readouterr()
    assert quiet.err == ""
    assert loud.err != ""
    assert "\r" not in loud.err
    assert quiet.out == loud.out
    last = loud.err.splitlines()[-1]
    assert last.startswith(f"next: {following}") if following else not last.startswith("next: ")
    assert "next: " not in loud.out


def test_errors_and_warnings_stay(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "pictures" / "b.jpg").write_bytes(Path(JPEG).read_bytes()[:300])
    assert main(["compute-statistics", "pictures", "-o", "s.json", "--on-bad-image", "skip", "--quiet"]) == 0
    assert capsys.readouterr().err.startswith("warning: ")
    assert main(["compute-statistics", "nowhere", "-o", "s.json", "--quiet"]) == 2
    assert capsys.readouterr().err.startswith("error: nowhere: ")
