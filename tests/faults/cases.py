"""The commands that write files, on inputs in one folder."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from conftest import write_images, write_net
from faults.engine import Case
from training.tiny_run import command_line, prepare

ONE_THREAD = ["--threads", "1", "--workers", "1"]


def write_inputs(folder: Path) -> None:
    """A net with weights, pictures with labels, and a training run in miniature."""
    write_net(folder, "one", 1)
    write_images(folder, 23)
    (folder / "run").mkdir()
    with contextlib.redirect_stderr(io.StringIO()):
        prepare(folder / "run", max_iter=6, snapshot=2)


def cases(folder: Path) -> list[Case]:
    """The commands; what they write is in the current folder."""
    net = ["--weights", f"one={folder / 'one.caffemodel'}", "--deploy", str(folder / "one.prototxt")]
    pictures = str(folder / "images")
    convert = ["convert-caffemodel", str(folder / "one.prototxt"), str(folder / "one.caffemodel")]
    evaluate = ["eval-ilsvrc", *net, "--images", pictures, "--labels", str(folder / "val.txt")]
    evaluate += ["--protocol", "multicrop", "--scales", "9,11", "--batch", "4", "--window", "6", *ONE_THREAD]
    reports = ["--json", "report.json", "--markdown", "report.md", "--html", "report.html"]
    features = ["extract-features", pictures, *net, "--blob", "fc6", "--scales", "9,11", *ONE_THREAD]
    statistics = ["compute-statistics", pictures, "--workers", "1"]
    train = ["train-ilsvrc", *command_line(folder / "run", "x")]
    train[train.index("--snapshot-prefix") + 1] = "snap/x"
    return [
        Case("convert", lambda _: [*convert, "-o", "one.onnx"]),
        Case("train", lambda again: [*train, *(["--resume"] if again else [])]),
        Case("eval", lambda _: [*evaluate, "--cache", "cache", *reports]),
        Case("features npy", lambda _: [*features, "-o", "f.npy"]),
        Case("features h5", lambda _: [*features, "-o", "f.h5"]),
        Case("statistics", lambda _: [*statistics, "-o", "mean.json"]),
    ]
