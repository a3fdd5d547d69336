"""The training command: presets, the demo, defaults that give way to what is given, refusals."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_run import command_line, prepare, write_solver

from vggrepro.cli import training_demo
from vggrepro.cli.options.read import read
from vggrepro.cli.train_ilsvrc import TrainingOptions, main, parser
from vggrepro.evaluation import demo
from vggrepro.paper.nets import PROTOTXT
from vggrepro.paper.trainings import PRESETS
from vggrepro.system.ranks import Alone
from vggrepro.training.assemble import TrainingPlan


def parse(*arguments: str) -> TrainingOptions:
    return read(TrainingOptions, parser().parse_args(arguments))


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line of a command that did not begin."""
    try:
        code = main(arguments)
    except SystemExit as stopped:
        code = stopped.code
    assert code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    return line


def test_a_data_layer_of_a_fork_is_fed_with_the_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(tmp_path, max_iter=2, test_iter=1)
    net = tmp_path / "net.prototxt"
    net.write_text(net.read_text().replace('type: "Data"', 'type: "PairData"').replace("crop_size: 8", ""))
    line = command_line(tmp_path, "run", "--colour", "none", "--mean", "120,110,130")
    assert "no shape for input 'data'" in refused(capsys, *line)
    shapes = ["--input-shape", "data=8,3,8,8", "--input-shape", "label=8"]
    assert main([*line, *shapes]) == 0
    assert (tmp_path / "run_iter_2.caffemodel").exists()


def test_list_presets(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list-presets"]) == 0
    output = capsys.readouterr().out
    assert all(name in output for name in PRESETS)
    assert "D:384      D/solver.prototxt, needs --weights, the caffemodel of D:256" in output


def test_presets_say_what_they_need(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    data = ["--data", str(tmp_path)]
    assert "preset D:384 needs --weights" in refused(capsys, "--preset", "D:384", *data)
    error = refused(capsys, "--preset", "B:256", *data)
    assert "preset B:256 needs --init-from, the caffemodel of A:256 (or another --init" in error


def test_a_solver_keeps_its_prototxts_fillers(data: list[str]) -> None:
    config = ["--config", str(PROTOTXT / "A" / "solver.prototxt")]
    assert plan(*config, *data).initial.fillers.scheme == "prototxt"
    assert plan("--preset", "A:256", "--init", "prototxt", *data).initial.fillers.scheme == "prototxt"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Options that name pictures, for commands in an empty folder."""
    prepare(tmp_path)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return ["--data", str(tmp_path / "train"), "--val", str(tmp_path / "val")]


def plan(*arguments: str) -> TrainingPlan:
    return parse(*arguments).plan(Alone())


def test_preset_is_solver_and_scale(data: list[str]) -> None:
    asked = plan("--preset", "E:256-512", "--weights", "e.caffemodel", "--set", "max_iter: 9", *data)
    assert asked.images is not None
    assert asked.images.augmentation.smallest == (256, 512)
    assert asked.definition.path.parent.name == "E"
    assert asked.definition.param.base_lr == pytest.approx(1e-3)
    assert asked.definition.param.max_iter == 9
    assert asked.definition.snapshot_prefix == "vgg_e_256_512"
    assert asked.initial.fillers.scheme == "glorot"
    assert asked.images.augmentation.reading == "root"


def test_what_is_given_is_more_than_a_preset(data: list[str]) -> None:
    given = ["--smallest", "300", "--set", 'base_lr: 0.5 snapshot_prefix: "mine"']
    asked = plan("--preset", "E:256-512", "--weights", "e.caffemodel", *given, *data)
    assert asked.images is not None
    assert asked.images.augmentation.smallest == (300, 300)
    assert asked.definition.param.base_lr == 0.5
    assert asked.definition.snapshot_prefix == "mine"


def test_a_preset_may_read_its_own_data_layers() -> None:
    (options, _) = parse("--preset", "A:256").completed()
    assert options.augmentation.smallest is None


def test_iter_size_keeps_the_batch(data: list[str]) -> None:
    asked = plan("--preset", "A:256", "--iter-size", "8", *data)
    assert (asked.definition.param.iter_size, asked.batch) == (8, 256)


def test_a_presets_rate_goes_with_the_batch(data: list[str]) -> None:
    def rate(*more: str) -> float:
        return plan("--preset", "A:256", *more, *data).definition.param.base_lr

    assert rate() == pytest.approx(0.01)
    assert rate("--batch", "4") == pytest.approx(0.01 * 4 / 256)
    assert rate("--batch", "4", "--set", "base_lr: 0.5") == 0.5


def test_iter_size_is_for_images(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = str(write_solver(tmp_path))
    assert "--iter-size divides the batch of --data" in refused(capsys, "--config", path, "--iter-size", "2")


def test_the_demo_is_images_augmentation_and_patience(data: list[str]) -> None:
    asked = plan("--demo")
    assert asked.images is not None
    assert asked.images.val is not None
    augmentation = asked.images.augmentation
    assert (len(asked.images.train.source), len(asked.images.val.source)) == (3000, 500)
    assert (augmentation.smallest, augmentation.flip) == (training_demo.SMALLEST, False)
    assert (augmentation.mean_bgr, asked.images.val_smallest) == (demo.mean_bgr(), demo.SCALE)
    assert asked.patience == training_demo.PATIENCE
    assert asked.definition.snapshot_prefix == "runs/demo/vgg_a_digits"


def test_what_is_given_is_more_than_the_demo(data: list[str]) -> None:
    sizes = ["--smallest", "70", "--val-smallest", "71", "--patience", "5"]
    seen = ["--flip", "--mean", "0,0,0", "--kernel", "area", "--colour", "none"]
    asked = plan("--demo", *sizes, *seen, "--set", 'snapshot_prefix: "mine"', "--batch", "16", "--no-test")
    assert asked.images is not None
    augmentation = asked.images.augmentation
    assert (augmentation.smallest, asked.images.val_smallest, asked.patience) == ((70, 70), 71, 5)
    assert (augmentation.flip, augmentation.mean_bgr) == (True, (0, 0, 0))
    assert (augmentation.kernel, augmentation.colour) == ("area", None)
    assert (asked.definition.snapshot_prefix, asked.batch, asked.tests) == ("mine", 16, False)
    assert plan("--demo", "--snapshot-prefix", "yours").definition.snapshot_prefix == "yours"


def test_the_demo_takes_the_mean_of_statistics(data: list[str], tmp_path: Path) -> None:
    pca = '{"eigenvalues": [3, 2, 1], "vectors_rgb": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}'
    (tmp_path / "s.json").write_text(f'{{"mean_bgr": [1, 2, 3], "pca": {pca}}}')
    asked = plan("--demo", "--statistics", str(tmp_path / "s.json"))
    assert asked.images is not None
    assert asked.images.augmentation.mean_bgr == (1, 2, 3)


@pytest.mark.parametrize(
    "option", ["--data", "--data-list", "--val", "--val-labels", "--synsets", "--devkit"]
)
def test_the_demo_brings_its_own(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "--demo", option, "x") == f"error: {option}: --demo brings its own"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--smallest", "7"], "a crop of 8 from images with a smaller side of 7 to 7"),
        (["--smallest", "8,9,10"], "expected one size, or two"),
        (["--mean", "1,2"], "expected three numbers, blue, green, red"),
        (["--mean", "1,2,nan"], "argument --mean: expected numbers"),
        (["--threads", "-1"], "argument --threads: expected a whole number from 0, got '-1'"),
        (["--keep", "-1"], "argument --keep: expected a whole number from 0, got '-1'"),
        (["--colour-std", "-0.1"], "argument --colour-std: expected a number from 0, got '-0.1'"),
        (["--init-std", "nan"], "argument --init-std: expected a number from 0, got 'nan'"),
        (["--prototxt-dir", "x"], "--prototxt-dir: expected --preset NAME with it"),
        (
            ["--batch", "7", "--iter-size", "2"],
            "a batch of 7 images does not divide into 2 passes on 1 ranks",
        ),
        (["--set", "max_itr: 3"], "setting 'max_itr: 3':1:1"),
        (["--resume", "none.solverstate"], "none.solverstate"),
        (["--init-from", "none.caffemodel"], "none.caffemodel"),
        (["--device", "gpu"], "device must be cpu, cuda or cuda:N, got 'gpu'"),
    ],
)
def test_refusals(tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str) -> None:
    prepare(tmp_path)
    assert message in refused(capsys, *command_line(tmp_path, "run", *more))
