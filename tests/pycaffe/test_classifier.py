"""``Classifier`` and ``Detector``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from golden_suite import ROOT
from nets import DEPLOY, make, write
from numpy.testing import assert_allclose, assert_array_equal

import vggrepro.pycaffe as caffe

IMAGE = str(ROOT / "images" / "astronaut.jpg")
SQUARE = DEPLOY.replace("dim: 9", "dim: 8")
SETTINGS = {"mean": np.array([10.0, 20, 30]), "raw_scale": 255, "channel_swap": (2, 1, 0), "input_scale": 0.1}


def files(folder: Path, text: str = SQUARE) -> tuple[str, str]:
    weights = str(folder / "w.caffemodel")
    make(folder, text).save(weights)
    return write(folder, text), weights


def test_classifier(tmp_path: Path) -> None:
    net = caffe.Classifier(*files(tmp_path), image_dims=(10, 12), **SETTINGS)
    images = [caffe.io.load_image(IMAGE)[:50, :60], caffe.io.load_image(IMAGE)[20:90]]
    small = np.stack([caffe.io.resize_image(image, (10, 12)) for image in images])
    centre = np.stack([net.transformer.preprocess("data", image[1:9, 2:10]) for image in small])
    predictions = net.predict(images, oversample=False)
    assert_allclose(predictions, net.forward_all(data=centre)["prob"], rtol=1e-5)
    crops = np.stack([net.transformer.preprocess("data", c) for c in caffe.io.oversample(small, (8, 8))])
    expected = net.forward_all(data=crops)["prob"].reshape(2, 10, 5).mean(1)
    assert_allclose(net.predict(images), expected, rtol=1e-5)


def test_classifier_without_settings(tmp_path: Path) -> None:
    net = caffe.Classifier(*files(tmp_path))
    assert list(net.image_dims) == [8, 8]
    assert list(caffe.Classifier(*files(tmp_path), ()).image_dims) == [8, 8]
    assert net.predict([np.zeros((5, 6, 3))]).shape == (1, 5)


def test_a_phase_in_the_place_of_the_sizes_is_kept_as_caffe_keeps_it(tmp_path: Path) -> None:
    """Scripts give one by mistake, and never call ``predict``."""
    net = caffe.Classifier(*files(tmp_path), caffe.TEST)
    assert net.image_dims == 1
    assert net.forward()["prob"].shape == (2, 5)


def test_detector(tmp_path: Path) -> None:
    net = caffe.Detector(*files(tmp_path), **SETTINGS)
    windows = [np.array([0, 0, 30, 40]), np.array([10, 20, 60, 70])]
    found = net.detect_windows([(IMAGE, windows)])
    assert [d["filename"] for d in found] == [IMAGE, IMAGE]
    image = caffe.io.load_image(IMAGE)
    crop = net.transformer.preprocess("data", image[10:60, 20:70])
    expected = net.forward_all(data=crop[None])["prob"][0]
    assert_allclose(found[1]["prediction"], expected, rtol=1e-4)
    assert_array_equal(found[1]["window"], windows[1])
    assert_array_equal(net.crop(image, np.array([10.9, 20.2, 60.5, 70.9])), image[10:60, 20:70])


def test_detector_with_context(tmp_path: Path) -> None:
    """A window in the image's corner: what is outside of the image is the mean, in the image's own units."""
    net = caffe.Detector(*files(tmp_path), context_pad=2, **SETTINGS)
    image = caffe.io.load_image(IMAGE)
    crop = net.crop(image, np.array([0, 0, 40, 40]))
    assert crop.shape == (8, 8, 3)
    assert_allclose(crop[0], np.tile([30, 20, 10], (8, 1)) / 255, rtol=1e-5)
    inside = net.crop(image, np.array([60, 60, 100, 100]))
    assert_allclose(inside, caffe.io.resize_image(image[40:121, 40:121], (8, 8)), atol=0.1)
    # 38.4 wide with its last pixel, and twice that, 76.8, with the surroundings: from 41.3 to 118.1
    fractions = net.crop(image, np.array([60.5, 60.5, 97.9, 97.9]))
    assert_array_equal(fractions, caffe.io.resize_image(image[41:118, 41:118], (8, 8)))


def test_selective_search_needs_its_package(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="selective_search"):
        caffe.Detector(*files(tmp_path)).detect_selective_search([IMAGE])
