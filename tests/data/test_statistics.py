"""Mean pixel and colour components, by the formulas, and the command that computes them."""

import io
import json
import tarfile
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose

from vggrepro.cli.compute_statistics import main
from vggrepro.data.statistics import collect, from_json, moments
from vggrepro.errors import DataError

DEMO = Path(str(resources.files("vggrepro.demo")))


def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(4)
    mix = rng.normal(size=(3, 3)) * 25
    return [
        np.clip(rng.normal(size=(h, w, 3)) @ mix + (90, 110, 150), 0, 255).astype(np.uint8)
        for h, w in ((5, 9), (30, 20), (13, 17))
    ]


def test_per_pixel_is_the_covariance_of_all_pixels():
    images = pictures()
    statistics = collect(map(moments, images), per_pixel=True)
    values = np.concatenate([image.reshape(-1, 3) for image in images]).astype(np.float64)
    assert (statistics.images, statistics.pixels) == (3, len(values))
    assert_allclose(statistics.mean_bgr, values.mean(axis=0), rtol=1e-12)
    assert_allclose(statistics.covariance_bgr, np.cov(values.T, bias=True), rtol=1e-9)


def test_by_default_every_image_counts_the_same():
    images = pictures()
    statistics = collect(map(moments, images))
    assert_allclose(statistics.mean_bgr, np.mean([i.reshape(-1, 3).mean(axis=0) for i in images], axis=0))
    repeated = [np.tile(image, (2, 3, 1)) if i == 1 else image for i, image in enumerate(images)]
    assert_allclose(collect(map(moments, repeated)).covariance_bgr, statistics.covariance_bgr)


def test_components_are_those_of_rgb_in_unit_range():
    statistics = collect(map(moments, pictures()), per_pixel=True)
    pca = statistics.pca
    vectors = np.array(pca.vectors)
    assert_allclose(vectors.T @ vectors, np.eye(3), atol=1e-12)
    assert list(pca.eigenvalues) == sorted(pca.eigenvalues, reverse=True)
    rgb = statistics.covariance_bgr[::-1, ::-1] / 255**2
    assert_allclose(vectors @ np.diag(pca.eigenvalues) @ vectors.T, rgb, atol=1e-12)
    assert (vectors.max(axis=0) == np.abs(vectors).max(axis=0)).all()


def test_nothing_to_measure():
    with pytest.raises(DataError, match="no readable images"):
        collect([])


def test_result_file_is_read_back():
    statistics = collect(map(moments, pictures()))
    mean, pca = from_json(json.loads(json.dumps(statistics.as_json())), "stats.json")
    assert_allclose(mean, statistics.mean_bgr)
    assert pca == statistics.pca
    for content in ({}, [], {"mean_bgr": [1, 2]}, {"mean_bgr": [1, 2, 3], "pca": {"eigenvalues": [1, 2, 3]}}):
        with pytest.raises(DataError, match=r"stats\.json: not a result of compute_statistics"):
            from_json(content, "stats.json")


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
