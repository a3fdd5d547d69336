"""The extract_features command: its files, and what becomes of images that cannot be read."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from evaluation_process import ONE_THREAD, run_until_half_done
from mpi_launcher import mpirun, needs_mpi

from vggrepro.cli.extract_features import main

EXTRACT = [sys.executable, str(Path(__file__).parents[2] / "tools" / "extract_features.py")]


def options(nets, images, output, *more):
    network = ["--weights", f"one={nets[0].weights}", "--deploy", str(nets[0].deploy), "--blob", "fc6"]
    running = ["--scales", "9,11", "--threads", "1"]
    return [str(images / "images"), "-o", str(output), *network, *running, *more]


def test_files_of_both_kinds_hold_the_same(nets, images, tmp_path, capsys):
    assert main(options(nets, images, tmp_path / "f.npy", "--list", str(images / "val.txt"))) == 0
    assert main(options(nets, images, tmp_path / "f.h5", "--list", str(images / "val.txt"))) == 0
    rows = np.load(tmp_path / "f.npy")
    named = json.loads((tmp_path / "f.json").read_text())
    lines = [line.split() for line in (images / "val.txt").read_text().splitlines()]
    assert rows.shape == (23, 9)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1)
    assert (named["names"], named["labels"]) == ([n for n, _ in lines], [int(label) for _, label in lines])
    with h5py.File(tmp_path / "f.h5") as file:
        assert np.array_equal(file["features"], rows)
        assert [name.decode() for name in file["names"]] == named["names"]
        assert list(file["labels"]) == named["labels"]
        assert json.loads(file.attrs["settings"])["descriptor"]["scales"] == [9, 11]
    assert sorted(p.name for p in tmp_path.glob("f.*")) == ["f.h5", "f.json", "f.npy"]  # no scratch is left


def test_a_bad_image_gets_a_row_of_nan_if_asked(nets, images, tmp_path, capsys):
    (images / "images" / "val_003.png").write_bytes(b"not a picture")
    assert main(options(nets, images, tmp_path / "f.npy")) == 2
    assert "val_003.png" in capsys.readouterr().err
    assert not (tmp_path / "f.npy").exists()
    assert main(options(nets, images, tmp_path / "f.npy", "--on-bad-image", "skip")) == 0
    assert np.flatnonzero(np.isnan(np.load(tmp_path / "f.npy")).any(axis=1)).tolist() == [3]
    assert "warning: row 3 is NaN" in capsys.readouterr().err


def test_an_image_that_ends_early_is_named(nets, images, tmp_path, capsys):
    data = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8))[1].tobytes()
    (images / "images" / "val_003.png").write_bytes(data[: len(data) // 2])
    assert main(options(nets, images, tmp_path / "f.npy")) == 0
    assert "val_003.png: ends early" in capsys.readouterr().err
    assert json.loads((tmp_path / "f.json").read_text())["truncated_images"] == [3]


def test_the_demo_brings_its_own_network(nets, images, tmp_path, capsys):
    assert main(options(nets, images, tmp_path / "f.npy", "--demo")) == 2
    assert "--weights: --demo brings its own" in capsys.readouterr().err


def test_an_unknown_kind_of_file(nets, images, tmp_path, capsys):
    assert main(options(nets, images, tmp_path / "f.txt")) == 2
    assert "expected a name that ends in .npy" in capsys.readouterr().err


def test_a_protocol_of_two_kinds_of_views_is_refused(nets, images, tmp_path, capsys):
    assert main(options(nets, images, tmp_path / "f.npy", "--protocol", "both")) == 2
    assert "protocol both is a mean of posteriors: expected one kind of views" in capsys.readouterr().err


def test_several_blobs_go_to_files_of_their_own(nets, images, tmp_path, capsys):
    for blobs, name in (("fc6", "one"), ("conv1,fc6", "both")):
        assert main(options(nets, images, tmp_path / f"{name}.npy", "--blob", blobs)) == 0
    assert sorted(p.name for p in tmp_path.glob("both*")) == [
        f"both.{blob}.{kind}" for blob in ("conv1", "fc6") for kind in ("json", "npy")
    ]
    assert np.array_equal(np.load(tmp_path / "both.fc6.npy"), np.load(tmp_path / "one.npy"))
    assert np.load(tmp_path / "both.conv1.npy").shape == (23, 4)
    described = {b: json.loads((tmp_path / f"both.{b}.json").read_text()) for b in ("conv1", "fc6")}
    assert {b: d["networks"][0]["blob"] for b, d in described.items()} == {"conv1": "conv1", "fc6": "fc6"}


@pytest.mark.parametrize(
    ("blobs", "words"),
    [
        ("fc6,fc6", "expected different names"),
        ("fc6,", "expected different names"),
        ("fc6,fc9", "no blob 'fc9'"),
    ],
)
def test_blobs_that_are_none(nets, images, tmp_path, capsys, blobs, words):
    try:
        code = main(options(nets, images, tmp_path / "f.npy", "--blob", blobs))
    except SystemExit as refused:
        code = refused.code
    assert code == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.glob("f.*"))


DEMO = ["--demo", "--batch", "1", "--window", "40", *ONE_THREAD, "--blob", "pool5,fc7"]
CROPS = ["--protocol", "multicrop", "--scales", "80", "--no-flip"]


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Noise for the embedded network to look at."""
    folder = tmp_path_factory.mktemp("digits")
    rng = np.random.default_rng(0)
    for number in range(160):
        cv2.imwrite(str(folder / f"{number:03}.png"), rng.integers(0, 256, (80, 90), np.uint8))
    return folder


def extract(folder, output, *more, launcher=()):
    command = [*launcher, *EXTRACT, str(folder), "-o", str(output), *DEMO, *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def features(folder, name):
    return [(folder / f"{name}.{blob}.npy").read_bytes() for blob in ("pool5", "fc7")]


def test_a_killed_run_goes_on_where_it_was(digits, tmp_path):
    extract(digits, tmp_path / "whole.npy", *CROPS)
    cache = tmp_path / "cache"
    command = [*EXTRACT, str(digits), "-o", str(tmp_path / "resumed.npy"), *DEMO, *CROPS]
    finished = run_until_half_done(command, cache)
    assert not (tmp_path / "resumed.pool5.npy").exists()
    path = next(iter(cache.glob("*/states.npy"))).with_name("features.npy")
    written = path.stat().st_mtime_ns, np.load(path)[finished]
    extract(digits, tmp_path / "resumed.npy", *CROPS, "--cache", str(cache))
    assert path.stat().st_mtime_ns > written[0]
    assert np.array_equal(np.load(path)[finished], written[1], equal_nan=True)
    assert features(tmp_path, "resumed") == features(tmp_path, "whole")


@needs_mpi
@pytest.mark.parametrize("more", [[], ["--cache", "CACHE"]], ids=["temporary", "cache"])
def test_two_ranks_give_what_one_gives(digits, tmp_path, more):
    more = [str(tmp_path / "c") if option == "CACHE" else option for option in more]
    extract(digits, tmp_path / "one.npy", "--scales", "64,72")
    extract(digits, tmp_path / "two.npy", "--scales", "64,72", *more, launcher=[mpirun(), "-n", "2"])
    assert features(tmp_path, "two") == features(tmp_path, "one")
