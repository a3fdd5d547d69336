"""Every training command that README, docs and the command's own help print starts, and its loss falls: with
nets and images in small, and few iterations."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from small_nets import small_side, write_small_nets

from vggrepro.cli import train_ilsvrc
from vggrepro.evaluation import demo
from vggrepro.paper.trainings import PRESETS, find_preset

REPOSITORY = Path(__file__).parents[2]
ITERATIONS = 20
TESTS = ["--val", str(demo.IMAGES), "--val-labels", str(demo.LABELS), "--synsets", str(demo.SYNSETS)]


def printed_commands() -> list[str]:
    """The options of each training command in code blocks of the documentation and in the help."""
    texts = [train_ilsvrc.parser().format_help().partition("examples:")[2]]
    for page in (REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))):
        texts += re.findall(r"```bash\n(.*?)```", page.read_text(), re.DOTALL)
    lines = [line for text in texts for line in text.replace("\\\n", " ").splitlines()]
    found = []
    for line in lines:
        match = re.search(r"(?:tools/train_ilsvrc\.py|vggrepro train-ilsvrc|^ *train_ilsvrc) (.*)", line)
        if match is not None:
            found.append(" ".join(match.group(1).split("#")[0].split("(")[0].split()))
    return sorted(set(found))


def in_small(command: str, folder: Path) -> list[str]:
    """The command with files that are there: small nets, the embedded digits, and weights of a small net."""
    words = shlex.split(command.replace("--data ...", "...").replace("...", ""))
    words = ["cpu" if word == "cuda" else word for word in words]
    words = [str(folder / "A_256.caffemodel") if word.endswith(".caffemodel") else word for word in words]
    words = [str(folder / "nets/A/solver.prototxt") if word == "solver.prototxt" else word for word in words]
    if not {"--preset", "--config"} & set(words):
        words = ["--preset", "A:256", *words]
    for option in ("--data", "--val", "--val-labels", "--synsets"):
        if option in words:
            del words[words.index(option) : words.index(option) + 2]
    smallest = (256, 256)
    if "--preset" in words:
        words += ["--prototxt-dir", str(folder / "nets")]
        smallest = find_preset(words[words.index("--preset") + 1]).smallest
    sides = ",".join(str(small_side(side)) for side in smallest)
    mean = ",".join(map(str, demo.mean_bgr()))
    data = ["--data", str(demo.FOLDER / "img_train.tar"), "--data-list", str(folder / "train.txt")]
    return [*words, *data, *TESTS, "--smallest", sides, "--mean", mean, "--batch", "32"]


def losses(argv: list[str], folder: Path) -> list[float]:
    """The loss of each iteration."""
    log = folder / "log.jsonl"
    more = ["--seed", "1", "--threads", "1", "--workers", "1", "--log", str(log)]
    more += ["--snapshot-prefix", str(folder / "run"), "--device", "cpu", "--init", "glorot"]
    more += ["--set", f"max_iter: {ITERATIONS} display: 1 average_loss: 1 snapshot: 0"]
    assert train_ilsvrc.main([*argv, *more]) == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [line["loss"] for line in lines if line["event"] == "train"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with small nets, weights of the small net A, and a list of images that are all of one class,
    so that the loss of every net falls from the first iterations on, of deep ones too."""
    folder = tmp_path_factory.mktemp("small")
    lines = (demo.FOLDER / "train.txt").read_text().splitlines()
    (folder / "train.txt").write_text("\n".join(line for line in lines if line.endswith(" 3")) + "\n")
    write_small_nets(folder / "nets")
    losses(in_small("--preset A:256 ...", folder), folder)
    (weights,) = folder.glob("run_iter_*.caffemodel")
    weights.rename(folder / "A_256.caffemodel")
    return folder


def test_there_are_commands_of_every_kind() -> None:
    commands = printed_commands()
    assert "--demo" in commands
    for words in ("--preset A:256 --data", "--preset D:256 --init-from", "--config", "--preset B-5x5:256"):
        assert any(command.startswith(words) for command in commands), commands


@pytest.mark.parametrize("command", [c for c in printed_commands() if c != "--demo"])  # test_training_demo.py
def test_a_printed_command_starts_and_its_loss_falls(command: str, small: Path, tmp_path: Path) -> None:
    found = losses(in_small(command, small), tmp_path)
    assert len(found) == ITERATIONS
    assert np.isfinite(found).all()
    assert np.mean(found[-3:]) < np.mean(found[:3]) - 0.02


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_starts_and_its_loss_falls(name: str, small: Path, tmp_path: Path) -> None:
    preset = PRESETS[name]
    begin = {"random": "", "net A": "--init-from a.caffemodel", "trained": ""}[preset.start]
    if preset.start == "trained":
        (tmp_path / "before").mkdir()
        before = f"--preset {preset.config}:256 --init-from a.caffemodel ..."
        losses(in_small(before, small), tmp_path / "before")
        (weights,) = (tmp_path / "before").glob("run_iter_*.caffemodel")
        weights.rename(small / "before.caffemodel")
        begin = f"--weights {small / 'before.caffemodel'}"
    found = losses(in_small(f"--preset '{name}' {begin} ...", small), tmp_path)
    assert np.isfinite(found).all()
    assert np.mean(found[-3:]) < np.mean(found[:3]) - 0.001
