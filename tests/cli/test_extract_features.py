"""The extract_features command: its files, and what becomes of images that cannot be read."""

import json

import cv2
import h5py
import numpy as np

from vggrepro.cli.extract_features import main


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
