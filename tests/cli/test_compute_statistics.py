"""The compute_statistics command on tars, with lists, samples and bad images."""

import io
import json
import tarfile
from pathlib import Path

import cv2
import numpy as np
from numpy.testing import assert_allclose

from vggrepro.caffe.binary import read_blob
from vggrepro.cli.compute_statistics import main
from vggrepro.data.statistics import collect, moments
from vggrepro.evaluation import demo

DEMO = demo.FOLDER


def pictures() -> list[np.ndarray]:
    """Three pictures of several sizes, each of a colour."""
    rng = np.random.default_rng(4)
    shapes = ((5, 9), (30, 20), (13, 17))
    return [rng.integers(40 * i, 40 * i + 100, (h, w, 3), np.uint8) for i, (h, w) in enumerate(shapes)]


def test_command_on_the_demo_s_training_tar(tmp_path, capsys):
    """The mean that the demo's network was trained with (vggrepro/demo/README.md)."""
    output = tmp_path / "stats.json"
    arguments = [str(DEMO / "img_train.tar"), "-o", str(output), "--workers", "2"]
    assert main(arguments) == 0
    result = json.loads(output.read_text())
    assert_allclose(result["mean_bgr"], (122.6, 122.2, 123.7), atol=0.05)
    assert (result["images"], result["weighting"], result["bad_images"]["unreadable"]) == (3000, "image", {})
    assert "mean B, G, R: 122.578, 122.247, 123.727 over 3000 images" in capsys.readouterr().out


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def test_command_options(tmp_path, capsys):
    members = {f"{i}.png": cv2.imencode(".png", image)[1].tobytes() for i, image in enumerate(pictures())}
    path = write_tar(tmp_path / "x.tar", {**members, "bad.jpg": b"junk"})
    output = tmp_path / "stats.json"
    assert main([str(path), "-o", str(output)]) == 2
    assert "bad.jpg: Could not open or find file" in capsys.readouterr().err
    assert not output.exists()

    assert main([str(path), "-o", str(output), "--per-pixel", "--on-bad-image", "skip"]) == 0
    result = json.loads(output.read_text())
    assert_allclose(result["mean_bgr"], collect(map(moments, pictures()), per_pixel=True).mean_bgr)
    assert list(result["bad_images"]["unreadable"]) == ["bad.jpg"]
    assert "warning: 1 unreadable images left out" in capsys.readouterr().err

    (tmp_path / "list.txt").write_text("2.png 0\n0.png 0\n")
    options = ["--list", str(tmp_path / "list.txt"), "--rescale", "8", "--limit", "1"]
    assert main([str(path), "-o", str(output), *options]) == 0
    result = json.loads(output.read_text())
    assert result["images"] == 1
    assert result["pixels"] in {8 * 10, 8 * 14}  # 13 x 17 to 8 x 10, or 5 x 9 to 8 x 14


def same_size_tar(tmp_path: Path) -> tuple[Path, np.ndarray]:
    images = np.random.default_rng(1).integers(0, 256, (3, 7, 5, 3), np.uint8)
    members = {f"{i}.png": cv2.imencode(".png", image)[1].tobytes() for i, image in enumerate(images)}
    return write_tar(tmp_path / "x.tar", members), images


def test_a_mean_image_where_the_name_asks_for_one(tmp_path):
    path, images = same_size_tar(tmp_path)
    mean = images.astype(np.float64).mean(axis=0).transpose(2, 0, 1).astype(np.float32)
    assert main([str(path), "-o", str(tmp_path / "mean.binaryproto")]) == 0
    assert main([str(path), "-o", str(tmp_path / "mean.npy")]) == 0
    stored = read_blob(tmp_path / "mean.binaryproto")
    assert stored.shape == (1, 3, 7, 5)
    assert np.array_equal(stored[0], mean)
    assert np.array_equal(np.load(tmp_path / "mean.npy"), mean)


def test_a_mean_image_of_several_sizes_is_refused(tmp_path, capsys):
    members = {f"{i}.png": cv2.imencode(".png", image)[1].tobytes() for i, image in enumerate(pictures())}
    path = write_tar(tmp_path / "x.tar", members)
    assert main([str(path), "-o", str(tmp_path / "mean.binaryproto")]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "1.png: an image of 30 x 20 pixels, the first has 5 x 9 pixels" in last
    assert not (tmp_path / "mean.binaryproto").exists()


def test_the_images_are_not_overwritten(tmp_path, capsys):
    path, _ = same_size_tar(tmp_path)
    before = path.read_bytes()
    assert main([str(path), "-o", str(path)]) == 2
    assert main([str(path), "-o", str(tmp_path / "s.json"), "--tar-index", str(path)]) == 2
    assert "not an index of a tar" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_a_damaged_index_is_one_line(tmp_path, capsys):
    path, _ = same_size_tar(tmp_path)
    index = tmp_path / "index.npz"
    arguments = [str(path), "-o", str(tmp_path / "s.json"), "--tar-index", str(index)]
    assert main(arguments) == 0
    good = index.read_bytes()
    rng = np.random.default_rng(0)
    for number in range(40):
        damaged = bytearray(good[: rng.integers(len(good))] if number % 2 else good)
        for place in rng.integers(0, len(damaged), 3) if damaged else ():
            damaged[place] ^= 1 << rng.integers(8)
        index.write_bytes(damaged)
        capsys.readouterr()
        code = main(arguments)
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
        assert (code, len(lines)) in ((0, 0), (2, 1))


def test_another_archive_is_no_index_and_stays(tmp_path, capsys):
    path, _ = same_size_tar(tmp_path)
    np.savez(tmp_path / "mine.npz", mine=np.arange(3))
    before = (tmp_path / "mine.npz").read_bytes()
    options = ["-o", str(tmp_path / "s.json"), "--tar-index", str(tmp_path / "mine.npz")]
    assert main([str(path), *options]) == 2
    assert "mine.npz: not an index of a tar" in capsys.readouterr().err
    assert (tmp_path / "mine.npz").read_bytes() == before
