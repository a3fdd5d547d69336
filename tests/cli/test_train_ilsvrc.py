"""The training command's options: presets, devices, passes, means, refusals."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
from tiny_run import command_line, prepare, write_solver

from vggrepro.cli import train_ilsvrc
from vggrepro.cli.options.training import images_from
from vggrepro.cli.train_ilsvrc import main
from vggrepro.data.augment import ILSVRC_MEAN_BGR, ILSVRC_PCA
from vggrepro.paper.trainings import PRESETS
from vggrepro.system.ranks import Alone
from vggrepro.training.definition import read_definition


def parse(*arguments: str) -> argparse.Namespace:
    return train_ilsvrc._parser().parse_args(arguments)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 2
    return capsys.readouterr().err


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


def test_preset_is_solver_and_scale(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = parse("--preset", "E:256-512", "--weights", "e.caffemodel", "--set", "max_iter: 9")
    definition = train_ilsvrc._definition(arguments)
    assert arguments.smallest == (256, 512)
    assert definition.path.parent.name == "E"
    assert definition.param.base_lr == pytest.approx(1e-3)
    assert definition.param.max_iter == 9
    assert definition.snapshot_prefix == "vgg_e_256_512"


def test_iter_size_keeps_the_batch() -> None:
    arguments = parse("--preset", "A:256", "--data", "x", "--iter-size", "8")
    assert train_ilsvrc._definition(arguments).param.iter_size == 8
    assert arguments.batch == 256


def test_iter_size_is_for_images(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = str(write_solver(tmp_path))
    assert "--iter-size divides the batch of --data" in refused(capsys, "--config", path, "--iter-size", "2")


@pytest.mark.parametrize(
    ("given", "fields", "rank", "ranks", "device"),
    [
        (None, {"solver_mode": "CPU"}, 0, 1, "cpu"),
        (None, {"solver_mode": "GPU", "device_id": 2}, 0, 1, "cuda:2"),
        ("cpu", {"solver_mode": "GPU"}, 0, 1, "cpu"),
        ("cuda", {}, 0, 1, "cuda"),
        ("cuda", {}, 3, 4, "cuda:3"),
        (None, {"solver_mode": "GPU"}, 3, 4, "cuda:3"),
        ("cpu", {}, 3, 4, "cpu"),
    ],
)
def test_devices(
    tmp_path: Path, given: str | None, fields: dict[str, object], rank: int, ranks: int, device: str
) -> None:
    path = write_solver(tmp_path, **fields)
    arguments = parse("--config", str(path), *(["--device", given] if given else []))
    place = Alone(rank, ranks, rank)
    assert train_ilsvrc._device(arguments, read_definition(path), place) == device


def test_mean_and_colours(tmp_path: Path) -> None:
    """--mean over --statistics over the net's own over the published models'."""
    message = read_definition(prepare(tmp_path)).train_message()
    statistics = tmp_path / "statistics.json"
    pca = {"eigenvalues": [3, 2, 1], "vectors_rgb": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}
    statistics.write_text(json.dumps({"mean_bgr": [1, 2, 3], "pca": pca}))
    base = command_line(tmp_path, "run")

    def seen(*more: str) -> tuple[tuple[float, ...], object]:
        images = images_from(parse(*base, *more), message)
        assert images is not None
        return images.augmentation.mean_bgr, images.augmentation.colour

    assert seen() == ((120, 110, 130), ILSVRC_PCA)
    mean, colour = seen("--statistics", str(statistics))
    assert mean == (1, 2, 3)
    assert colour is not None
    assert seen("--statistics", str(statistics), "--mean", "7,8,9", "--colour", "none") == ((7, 8, 9), None)
    for layer in message.layer:
        layer.ClearField("transform_param")
    message.layer[0].transform_param.crop_size = 8
    assert seen()[0] == ILSVRC_MEAN_BGR


def test_scales_of_training_and_validation(tmp_path: Path) -> None:
    message = read_definition(prepare(tmp_path)).train_message()
    base = [a for a in command_line(tmp_path, "run") if a not in ("--smallest", "8,12")]
    for more, smallest, val in (
        (["--smallest", "9"], (9, 9), 9),
        (["--smallest", "8,12"], (8, 12), 10),
        (["--smallest", "8,12", "--val-smallest", "12"], (8, 12), 12),
    ):
        images = images_from(parse(*base, *more), message)
        assert images is not None
        assert (images.augmentation.smallest, images.val_smallest) == (smallest, val)
        assert images.augmentation.crop == 8


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--smallest", "7"], "a crop of 8 from images with a smaller side of 7 to 7"),
        (["--smallest", "8,9,10"], "expected one size, or two"),
        (["--mean", "1,2"], "expected three numbers, blue, green, red"),
        (
            ["--batch", "7", "--iter-size", "2"],
            "a batch of 7 images does not divide into 2 passes on 1 ranks",
        ),
        (["--set", "max_itr: 3"], "setting 'max_itr: 3':1:1"),
        (["--resume", "none.solverstate"], "none.solverstate"),
        (["--init-from", "none.caffemodel"], "none.caffemodel"),
    ],
)
def test_refusals(tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str) -> None:
    prepare(tmp_path)
    assert message in refused(capsys, *command_line(tmp_path, "run", *more))
