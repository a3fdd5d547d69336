"""Fillers against what Caffe draws: statistics of random ones, values of exact ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden_suite import ROOT
from google.protobuf import text_format

from vggrepro.caffe.messages import FillerParameter
from vggrepro.errors import NetError, VggReproError
from vggrepro.net import load_net
from vggrepro.net.fillers import fill

FILLERS = json.loads((ROOT / "fillers" / "case.json").read_text())["fillers"]


def draw(case: dict[str, Any], folder: Path, seed: int) -> np.ndarray:
    dims = " ".join(f"dim: {d}" for d in case["input_shape"])
    path = folder / "net.prototxt"
    path.write_text(
        f'layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ {dims} }} }} }}\n{case["layer"]}'
    )
    return load_net(path, seed=seed).params["l:0"]


@pytest.mark.parametrize("name", [n for n, c in FILLERS.items() if c.get("exact")])
def test_exact(name: str, tmp_path: Path) -> None:
    with np.load(ROOT / "fillers" / "exact.npz") as arrays:
        np.testing.assert_allclose(draw(FILLERS[name], tmp_path, 0), arrays[name], rtol=1e-6)


@pytest.mark.parametrize("name", [n for n, c in FILLERS.items() if not c.get("exact")])
@pytest.mark.parametrize("seed", [1, 2])
def test_statistics(name: str, seed: int, tmp_path: Path) -> None:
    case = FILLERS[name]
    values = draw(case, tmp_path, seed).astype(np.float64)
    caffe = {key: np.array([d[key] for d in case["draws"]]) for key in case["draws"][0]}
    std, count = caffe["std"].mean(), values.size
    # Five standard errors of a mean and of a deviation of ``count`` values, for ours and Caffe's draws.
    assert abs(values.mean() - caffe["mean"].mean()) < 5 * std * np.sqrt(2 / count)
    assert abs(values.std() / std - 1) < 0.03
    assert abs((values == 0).mean() - caffe["zero_fraction"].mean()) < 0.01
    if "gaussian" not in name and "msra" not in name:
        width = caffe["max"].max() - caffe["min"].min()
        slack = 0.1 if "unitball" in name else 0.002
        assert abs(values.max() - caffe["max"].max()) < slack * width
        assert abs(values.min() - caffe["min"].min()) < slack * width
    if "unitball" in name:
        np.testing.assert_allclose(values.reshape(len(values), -1).sum(axis=1), 1, rtol=1e-5)


def test_seeds_give_other_values_and_the_same_again(tmp_path: Path) -> None:
    case = FILLERS["ip_xavier"]
    first, again, other = (draw(case, tmp_path, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.99


@pytest.mark.parametrize(
    ("filler", "shape", "text"),
    [
        ({"type": "sobol"}, (3, 4), "Unknown filler name: sobol"),
        ({"type": "guassian"}, (3, 4), "Unknown filler name: guassian; did you mean 'gaussian'"),
        ({"type": "xavier", "sparse": 2}, (3, 4), "Sparsity not supported by this Filler"),
        ({"type": "bilinear"}, (3, 4), "Blob must be 4 dim."),
        ({"type": "bilinear"}, (1, 1, 3, 4), "Filter must be square"),
        ({"type": "uniform", "min": 2.0}, (3,), "min must not exceed max"),
        ({"type": "gaussian", "std": 0.0}, (3,), "std must be positive, got 0"),
        ({"type": "gaussian", "sparse": -2}, (3,), "sparse must be -1 or more, got -2"),
        ({"type": "gaussian", "sparse": 4}, (3, 9), "sparse must not exceed the outputs, got 4 for 3"),
        ({"type": "gaussian", "sparse": 0}, (), "sparse needs a blob of at least one axis"),
        ({"type": "positive_unitball"}, (), "needs a blob of at least one axis"),
    ],
)
def test_refused(filler: dict[str, Any], shape: tuple[int, ...], text: str) -> None:
    with pytest.raises(NetError, match=text):
        fill(shape, FillerParameter(**filler), np.random.default_rng(0))


def test_a_tuple_is_the_values_themselves() -> None:
    found = fill((1, 2, 2), (3.0, 0.0, 0.0, 4.0), np.random.default_rng(0))
    assert found.tolist() == [[[3, 0], [0, 4]]]
    assert found.dtype == np.float32


def filler(text: str) -> FillerParameter:
    return text_format.Parse(text, FillerParameter())


RNG = np.random.default_rng(0)


def test_expectation_gives_the_place_of_a_picture_of_probabilities() -> None:
    both = fill((2, 12), filler('type: "expectation" width: 4 height: 3 expectation_option: "xy"'), RNG)
    for column, row in ((0, 0), (3, 2), (1, 2)):
        picture = np.zeros((3, 4))
        picture[row, column] = 1
        wanted = [2 * (column / 3 - 0.5), 2 * (row / 2 - 0.5)]
        np.testing.assert_allclose(both @ picture.ravel(), wanted, atol=1e-6)
    for option, wanted in (("x", both[:1]), ("y", both[1:]), ("-x^2y^2", -(both**2))):
        text = f'type: "expectation" width: 4 height: 3 expectation_option: "{option}"'
        np.testing.assert_allclose(fill(wanted.shape, filler(text), RNG), wanted, atol=1e-6)


@pytest.mark.parametrize("option", ["both", "nboth2", "x", "y", "ones"])
def test_imagexy_weighs_each_channel_by_its_places(option: str) -> None:
    each = 2 if "both" in option else 1
    text = f'type: "imagexy" channels: 2 width: 4 height: 3 xy: "{option}"'
    got = fill((2 * each, 24), filler(text), RNG).reshape(2, each, 2, 3, 4)
    for channel, other, row, column in np.ndindex(2, 2, 3, 4):
        x, y = 2 * ((column + 1) / 4 - 0.5), 2 * ((row + 1) / 3 - 0.5)
        all_wanted = {"both": [x, y], "nboth2": [-x * x, -y * y], "x": [x], "y": [y], "ones": [1]}
        wanted = np.array(all_wanted[option]) * (channel == other)
        np.testing.assert_allclose(got[channel, :, other, row, column], wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "shape", "message"),
    [
        ('type: "expectation" width: 4 height: 3', (2, 12), "unknown expectation_option ''"),
        ('type: "expectation" width: 4 height: 3 expectation_option: "x"', (2, 12), r"weight \(1, 12\), got"),
        ('type: "imagexy" width: 4 height: 3', (2, 12), "needs channels, width and height"),
        ('type: "imagexy" channels: 1 width: 4 height: 3 xy: "z"', (2, 12), "unknown xy 'z'"),
        ('type: "imagexy" channels: 1 width: 4 height: 3', (2, 13), r"weight \(2, 12\), got \(2, 13\)"),
        ('type: "gaussian" width: 4', (2, 12), "width is for expectation and imagexy"),
        ('type: "expectation" xy: "x"', (2, 12), "xy is for imagexy"),
    ],
)
def test_fillers_of_guided_policy_search_refuse(text: str, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(VggReproError, match=message):
        fill(shape, filler(text), RNG)


@pytest.mark.parametrize("shape", [(2, 2, 1, 1), (2, 3, 2, 3), (4, 2, 3), (3, 3), (5,)])
def test_diagonal_takes_each_channel_to_the_output_of_its_number(shape: tuple[int, ...]) -> None:
    got = fill(shape, filler('type: "diagonal" diag_val: 4 diag_val: -0.5'), RNG)
    (outputs, channels), window = (*shape, 1)[:2], shape[2:]
    cells = got.reshape(outputs, channels, -1)
    for i, j in np.ndindex(outputs, channels):
        wanted = (4, -0.5, 1)[min(i, 2)] / np.prod(window, dtype=int) if i == j else 0
        np.testing.assert_allclose(cells[i, j], wanted)


def test_a_diagonal_is_no_other_filler() -> None:
    with pytest.raises(VggReproError, match="diag_val is for diagonal"):
        fill((2, 2), filler('type: "constant" diag_val: 1'), RNG)


def test_the_older_name_of_bilinear() -> None:
    rng = np.random.default_rng(0)
    older, newer = (
        fill((2, 1, 4, 4), FillerParameter(type=name), rng) for name in ("bilinear_upsampling", "bilinear")
    )
    np.testing.assert_array_equal(older, newer)
