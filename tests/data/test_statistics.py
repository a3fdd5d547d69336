"""Mean pixel and colour components, by the formulas."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose

from vggrepro.data.statistics import collect, from_json, moments
from vggrepro.errors import DataError


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
