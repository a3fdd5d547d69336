"""Section 3.2 of the paper once more, slowly: loops over images, scales, flips, crops and positions."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from vggrepro.data.sources import open_images
from vggrepro.errors import ProtocolError, ShapeError
from vggrepro.evaluation.image_posteriors import image_posteriors
from vggrepro.evaluation.measuring.evaluated_net import load_classifier
from vggrepro.evaluation.measuring.pipeline import Execution, ImageSet
from vggrepro.evaluation.protocols import AFTER, BEFORE, Member, parts, stream_shares

MEAN = (104.5, 116.0, 123.25)
CROP = 8


def transcribe(files, params, protocol, scales, flip, average):
    """Posteriors (N, 7) of one net, image by image."""
    return np.stack([_image(cv2.imread(str(f)), params, protocol, scales, flip, average) for f in files])


def _image(pixels, params, protocol, scales, flip, average):
    if protocol == "both":
        of_crops = _image(pixels, params, "multicrop", scales, flip, average)
        return (of_crops + _image(pixels, params, "dense", scales, flip, average)) / 2
    found = []
    for scale in scales:
        rescaled = _rescale(pixels, scale)
        for view in _views(rescaled, protocol):
            for mirrored in (False, True) if flip else (False,):
                seen = view[:, ::-1] if mirrored else view
                blob = seen.astype(np.float64).transpose(2, 0, 1) - np.array(MEAN)[:, None, None]
                found.append(_network(blob, params, average))
    return np.mean(found, axis=0)


def _rescale(pixels, scale):
    height, width = pixels.shape[:2]
    smaller = min(height, width)
    target = int(height * scale / smaller + 0.5), int(width * scale / smaller + 0.5)
    return cv2.resize(pixels, (target[1], target[0]), interpolation=cv2.INTER_LINEAR)


def _views(pixels, protocol):
    height, width = pixels.shape[:2]
    down, right = height - CROP, width - CROP
    if protocol == "dense":
        return [pixels]
    if protocol == "centre":
        places = [(down // 2, right // 2)]
    elif protocol == "tencrop":
        places = [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)]
    else:
        places = [(round(i * down / 4), round(j * right / 4)) for i in range(5) for j in range(5)]
    return [pixels[top : top + CROP, left : left + CROP] for top, left in places]


def _network(blob, params, average):
    """The tiny net at every position, float64: conv, ReLU, pooling rounded up, fc6, ReLU, fc8, softmax."""
    maps = np.maximum(_convolve(blob, params["conv1:0"].astype(np.float64)), 0)
    maps += 0.0 * params["conv1:1"][:, None, None]  # its bias is zero
    pooled = _pool(maps)
    rows, columns = pooled.shape[1] - 3, pooled.shape[2] - 3
    scores = np.zeros((rows, columns, 7))
    for y in range(rows):
        for x in range(columns):
            window = pooled[:, y : y + 4, x : x + 4].reshape(-1)
            hidden = np.maximum(params["fc6:0"].astype(np.float64) @ window + params["fc6:1"], 0)
            scores[y, x] = params["fc8:0"].astype(np.float64) @ hidden + params["fc8:1"]
    if average == BEFORE:
        return _softmax(scores.mean(axis=(0, 1)))
    return np.mean([_softmax(s) for s in scores.reshape(-1, 7)], axis=0)


def _convolve(blob, kernels):
    channels, height, width = blob.shape
    padded = np.zeros((channels, height + 2, width + 2))
    padded[:, 1:-1, 1:-1] = blob
    found = np.zeros((len(kernels), height, width))
    for y in range(height):
        for x in range(width):
            found[:, y, x] = (kernels * padded[:, y : y + 3, x : x + 3]).sum(axis=(1, 2, 3))
    return found


def _pool(maps):
    channels, height, width = maps.shape
    found = np.zeros((channels, math.ceil(height / 2), math.ceil(width / 2)))
    for y in range(found.shape[1]):
        for x in range(found.shape[2]):
            found[:, y, x] = maps[:, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2].max(axis=(1, 2))
    return found


def _softmax(scores):
    exponentials = np.exp(scores - scores.max())
    return exponentials / exponentials.sum()


def measure(images, nets, members, running=Execution(threads=1, batch=3, window=5)):  # noqa: B008
    source = open_images(images / "images")
    networks = [load_classifier(files, MEAN) for files in nets]
    posteriors, _ = image_posteriors(ImageSet.whole(source), members, networks, running)
    return posteriors, networks, source


PROTOCOLS = [
    ("centre", (8,), False, BEFORE),
    ("centre", (9, 12), True, BEFORE),
    ("tencrop", (11,), True, BEFORE),
    ("dense", (10,), False, BEFORE),
    ("dense", (9, 11, 14), True, BEFORE),
    ("dense", (11, 14), True, AFTER),
    ("multicrop", (10,), True, BEFORE),
    ("multicrop", (9, 11), False, BEFORE),
    ("both", (9, 12), True, BEFORE),
    ("both", (12,), True, AFTER),
]


@pytest.mark.parametrize(("protocol", "scales", "flip", "average"), PROTOCOLS)
def test_a_protocol_is_what_section_3_2_says(images, nets, protocol, scales, flip, average):
    member = Member("one", protocol, scales, flip, average)
    found, networks, source = measure(images, nets[:1], [member])
    files = [images / "images" / source.key(i) for i in range(len(source))]
    expected = transcribe(files, networks[0].net.params, protocol, scales, flip, average)
    assert np.abs(found - expected).max() < 1e-5
    assert np.ptp(expected, axis=0).max() > 0.05  # the images differ: the comparison says something


def test_fusion_is_the_mean_of_the_networks_posteriors(images, nets):
    members = [Member("one", "dense", (9, 11), True), Member("two", "both", (12,), True)]
    found, networks, source = measure(images, nets, members)
    files = [images / "images" / source.key(i) for i in range(len(source))]
    one = transcribe(files, networks[0].net.params, "dense", (9, 11), True, BEFORE)
    two = transcribe(files, networks[1].net.params, "both", (12,), True, BEFORE)
    assert np.abs(found - (one + two) / 2).max() < 1e-5
    assert np.abs(one - two).max() > 0.05


def test_before_and_after_the_softmax_differ(images, nets):
    before, *_ = measure(images, nets[:1], [Member("one", "dense", (14,), True, BEFORE)])
    after, *_ = measure(images, nets[:1], [Member("one", "dense", (14,), True, AFTER)])
    assert np.abs(before - after).max() > 1e-3


def test_batches_and_windows_change_nothing(images, nets):
    members = [Member("one", "both", (9, 12), True)]
    one, *_ = measure(images, nets[:1], members, Execution(threads=1, batch=1, window=1))
    many, *_ = measure(images, nets[:1], members, Execution(threads=1, batch=64, window=100, workers=3))
    assert np.abs(one - many).max() < 1e-6


def test_the_shares_of_all_streams_sum_to_one():
    members = [Member("a", "both", (1, 2), True), Member("b", "tencrop", (3,), True)]
    shares = stream_shares(members)
    assert sum(shares.values()) == pytest.approx(1)
    assert sum(share for stream, share in shares.items() if stream.net == "a") == pytest.approx(0.5)
    assert sum(share for stream, share in shares.items() if stream.view_kind == "grid") == pytest.approx(0.25)


def test_the_parts_of_an_ensemble():
    members = (Member("a", "both", (1, 2), True), Member("b", "dense", (3,), True))
    found = [" + ".join(map(str, part)) for part in parts(members)]
    assert found == [
        "a both Q=1,2 with flips",
        "a both Q=1 with flips",
        "a both Q=2 with flips",
        "a multicrop Q=1,2 with flips",
        "a multicrop Q=1 with flips",
        "a multicrop Q=2 with flips",
        "a dense Q=1,2 with flips",
        "a dense Q=1 with flips",
        "a dense Q=2 with flips",
        "b dense Q=3 with flips",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a", "sparse", (1,), True), "protocol 'sparse': expected one of centre"),
        (("a", "dense", (), True), "expected one or more different sizes"),
        (("a", "dense", (8, 8), True), "expected one or more different sizes"),
        (("a", "tencrop", (8,), False), "cannot go without flips"),
        (("a", "dense", (8,), True, "between"), "average 'between'"),
    ],
)
def test_what_is_no_protocol(arguments, message):
    with pytest.raises(ProtocolError, match=message):
        Member(*arguments)


def test_a_scale_below_the_crop(images, nets):
    with pytest.raises(ProtocolError, match="scale 7: smaller than one's crops of 8 pixels"):
        measure(images, nets[:1], [Member("one", "centre", (7,), False)])
    with pytest.raises(ShapeError):
        measure(images, nets[:1], [Member("one", "dense", (5,), False)])
