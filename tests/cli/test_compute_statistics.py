"""The compute_statistics command on tars, with lists, samples and bad images."""

import io
import json
import tarfile
from pathlib import Path

import cv2
import numpy as np
from numpy.testing import assert_allclose

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
