"""Full-size VGG nets, their weights made from the suite's recipe."""

from __future__ import annotations

import json

import numpy as np
import pytest
from golden_suite import cases

from vggrepro.graph.forward import build_forward
from vggrepro.net import Net, load_net
from vggrepro.runtime.session import Session
from vggrepro.verify.reference_case import ReferenceCase


def build(case: ReferenceCase) -> Net:
    recipe = json.loads((case.folder / "recipe.json").read_text())
    rng = np.random.Generator(np.random.PCG64(recipe["seed"]))
    params = {}
    for layer, index, shape in recipe["params"]:
        scale = np.float32(np.sqrt(2 / np.prod(shape[1:]))) if index == 0 else np.float32(0.01)
        params[f"{layer}:{index}"] = scale * rng.standard_normal(shape, dtype=np.float32)
    for key, first in recipe["first_values"].items():
        np.testing.assert_array_equal(params[key].reshape(-1)[: len(first)], np.float32(first))
    return load_net(case.folder / "net.prototxt").with_params(params)


@pytest.mark.slow
@pytest.mark.parametrize("case", cases("full"), ids=lambda c: c.folder.name)
def test_full(case: ReferenceCase) -> None:
    net = build(case)
    recipe = json.loads((case.folder / "recipe.json").read_text())
    with np.load(case.folder / "input.npz") as arrays:
        image = arrays["image"].astype(np.float32)
    feeds = {"data": (image - np.float32(recipe["mean_bgr"])[:, None, None])[None]}
    with np.load(case.folder / "expected.npz") as arrays:
        expected = {key: arrays[key] for key in arrays.files}
    blobs = [key.split(":", 1)[1] for key in expected if key.startswith("shape:") and key != "shape:data"]
    got = Session(build_forward(net, outputs=blobs)).run(feeds)
    tolerance = case.entry["forward"]
    for blob in blobs:
        check(blob, got[blob], expected, tolerance)


def check(blob: str, got: np.ndarray, expected: dict[str, np.ndarray], tolerance: dict[str, float]) -> None:
    assert got.shape == tuple(expected[f"shape:{blob}"])
    want, found = expected[f"val:{blob}"], got.reshape(-1)[expected[f"idx:{blob}"]]
    if f"blob:{blob}" in expected:
        want, found = expected[f"blob:{blob}"], got
    if blob == "prob":
        assert np.abs(found - want).max() <= tolerance["prob_atol"]
        return
    assert np.abs(found - want).max() <= tolerance["rtol_of_max"] * np.abs(want).max()
    exact = got.astype(np.float64)
    stats = np.array([exact.mean(), exact.std(), np.sqrt((exact**2).sum()), exact.min(), exact.max()])
    mean, std, norm, low, high = expected[f"stat:{blob}"]
    bound = tolerance["stat_rtol"] * np.array([std, std, norm, norm, norm])
    assert (np.abs(stats - [mean, std, norm, low, high]) <= bound).all()
