"""Descriptors of appendix B, against the same averages taken by hand."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from vggrepro.data.sources import open_images
from vggrepro.errors import DataError, ProtocolError
from vggrepro.evaluation.descriptor import Descriptor
from vggrepro.evaluation.features import descriptor_shape, measured_features, normalised
from vggrepro.evaluation.measuring.cache_folder import opened_cache
from vggrepro.evaluation.measuring.evaluated_net import Scorer, load_network
from vggrepro.evaluation.measuring.pipeline import Execution, ImageSet
from vggrepro.system.ranks import Alone

MEAN = (104.5, 116.0, 123.25)
RUNNING = Execution(threads=1, batch=3, window=5)


def by_hand(images, network, descriptor):
    """Descriptors (N, D), one image, scale and flip at a time."""
    scorer = Scorer(network, "cpu", convolutional=True, threads=1)
    rows = []
    for path in sorted((images / "images").iterdir()):
        of_scales = []
        for scale in descriptor.scales:
            picture = rescaled(cv2.imread(str(path)), scale)
            flips = [picture, picture[:, ::-1]] if descriptor.flip else [picture]
            blobs = [
                f.transpose(2, 0, 1)[None].astype(np.float32) - np.array(MEAN)[:, None, None] for f in flips
            ]
            of_scales.append(
                np.mean([scorer(b.astype(np.float32)).mean(axis=(2, 3))[0] for b in blobs], axis=0)
            )
        rows.append(combined(of_scales, descriptor))
    return np.stack(rows)


def rescaled(picture, scale):
    height, width = picture.shape[:2]
    smaller = min(height, width)
    return cv2.resize(picture, (int(width * scale / smaller + 0.5), int(height * scale / smaller + 0.5)))


def combined(vectors, descriptor):
    if descriptor.normalise == "each":
        vectors = [v / np.linalg.norm(v) for v in vectors]
    joined = {
        "average": lambda: np.mean(vectors, axis=0),
        "max": lambda: np.max(vectors, axis=0),
        "stack": lambda: np.concatenate(vectors),
    }[descriptor.combine]()
    return joined / np.linalg.norm(joined) if descriptor.normalise == "end" else joined


def descriptors(images, networks, descriptor, folder=None, blobs=None):
    """The descriptors of each blob (N, ...), and the images' problems."""
    blobs = blobs or [networks[0].blob]
    source = open_images(images / "images")
    out = {}
    for blob in blobs:
        shape = descriptor_shape([network.of_blob(blob) for network in networks], descriptor)
        out[blob] = np.zeros((len(source), *shape), np.float32)
    settings = ImageSet.whole(source, on_bad="skip"), networks, blobs, descriptor, RUNNING, Alone(), folder
    with measured_features(*settings) as found:
        found.write(out)
        return out, found.problems()


@pytest.mark.parametrize("combine", ["average", "stack", "max"])
@pytest.mark.parametrize("normalise", ["end", "each", "none"])
def test_a_descriptor_is_what_appendix_b_says(images, nets, combine, normalise):
    network = load_network(nets[0], MEAN, "fc6")
    descriptor = Descriptor("dense", (14, 9, 11), True, combine, normalise)
    found, problems = descriptors(images, [network], descriptor)
    out = found["fc6"]
    assert problems == {}
    assert np.abs(out - by_hand(images, network, descriptor)).max() < 1e-5
    assert np.ptp(out, axis=0).max() > 0.05


def test_networks_are_stacked(images, nets):
    networks = [load_network(files, MEAN, "fc6") for files in nets]
    descriptor = Descriptor("dense", (10,), False, normalise="none")
    out = descriptors(images, networks, descriptor)[0]["fc6"]
    assert out.shape == (23, 18)
    for number, network in enumerate(networks):
        expected = by_hand(images, network, descriptor)
        assert np.abs(out[:, 9 * number : 9 * number + 9] - expected).max() < 1e-4


def test_any_blob_with_its_map(images, nets):
    network = load_network(nets[0], MEAN, "conv1")
    descriptor = Descriptor("centre", (8,), False, normalise="none", pool="none")
    assert descriptor_shape([network], descriptor) == (4, 8, 8)
    out = descriptors(images, [network], descriptor)[0]["conv1"]
    path = sorted((images / "images").iterdir())[6]
    picture = rescaled(cv2.imread(str(path)), 8)
    top, left = (picture.shape[0] - 8) // 2, (picture.shape[1] - 8) // 2
    seen = picture[top : top + 8, left : left + 8].transpose(2, 0, 1).astype(np.float32)
    blob = (seen - np.float32(MEAN)[:, None, None])[None]
    expected = Scorer(network, "cpu", convolutional=False, threads=1)(blob)[0]
    assert np.abs(out[6] - expected).max() < 1e-4


def test_several_blobs_in_one_pass_are_what_each_is_alone(images, nets):
    networks = [load_network(files, MEAN, "fc6") for files in nets]
    descriptor = Descriptor("dense", (9, 11), combine="stack")
    both, _ = descriptors(images, networks, descriptor, blobs=["conv1", "fc6"])
    for blob, found in both.items():
        of_blob = [network.of_blob(blob) for network in networks]
        assert np.array_equal(found, descriptors(images, of_blob, descriptor)[0][blob])


def test_a_cache_gives_other_combinations_without_a_network(images, nets, tmp_path, monkeypatch):
    network = load_network(nets[0], MEAN, "fc6")
    descriptors(images, [network], Descriptor(scales=(9, 11)), tmp_path / "c")
    others = [
        Descriptor(scales=(11, 9), combine="stack", normalise="each"),
        Descriptor(scales=(9,), flip=False),
    ]
    expected = [descriptors(images, [network], other)[0]["fc6"] for other in others]
    monkeypatch.setattr("vggrepro.evaluation.measuring.feature_rows.Scorer", None)
    for other, rows in zip(others, expected, strict=True):
        assert np.array_equal(descriptors(images, [network], other, tmp_path / "c")[0]["fc6"], rows)


def test_rows_that_a_disk_has_lost_are_measured_again(images, nets, tmp_path):
    network, descriptor = load_network(nets[0], MEAN, "fc6"), Descriptor(scales=(9,), flip=False)
    whole, _ = descriptors(images, [network], descriptor, tmp_path / "c")
    rows = np.load(next((tmp_path / "c").glob("*/features.npy")), mmap_mode="r+")
    rows[4] = 0
    rows[9, 0, 2] += 1
    rows.flush()
    with pytest.warns(UserWarning, match=r"no features in the rows of 2 images \(number 4, 9\)"):
        again, _ = descriptors(images, [network], descriptor, tmp_path / "c")
    assert np.array_equal(again["fc6"], whole["fc6"])


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (lambda n: ([n.of_blob("conv1")], Descriptor(scales=(9,))), "made with blob"),
        (lambda n: ([n], Descriptor("centre", (9,), pool="none")), "made with pool"),
        (lambda n: ([replace(n, mean=(1.0, 2.0, 3.0))], Descriptor(scales=(9,))), "made with mean_bgr"),
    ],
)
def test_a_cache_of_something_else_is_refused(images, nets, tmp_path, changed, words):
    network = load_network(nets[0], MEAN, "fc6")
    descriptors(images, [network], Descriptor(scales=(9,)), tmp_path / "c")
    descriptors(images, [network], Descriptor("centre", (9,)), tmp_path / "c")
    with pytest.raises(ProtocolError, match=words):
        descriptors(images, *changed(network), tmp_path / "c")


def test_a_cache_of_posteriors_is_none_of_features(images, nets, tmp_path):
    with opened_cache(open_images(images / "images"), Alone(), tmp_path / "c"):
        pass
    with pytest.raises(ProtocolError, match="made with rows = None, this run has 'features'"):
        descriptors(images, [load_network(nets[0], MEAN, "fc6")], Descriptor(scales=(9,)), tmp_path / "c")


def test_an_image_that_an_earlier_run_skipped_ends_one_that_must_not(images, nets, tmp_path):
    (images / "images" / "val_003.png").write_bytes(b"no picture")
    network, descriptor = load_network(nets[0], MEAN, "fc6"), Descriptor(scales=(9,))
    found, problems = descriptors(images, [network], descriptor, tmp_path / "c")
    assert {i: p.kind for i, p in problems.items()} == {3: "bad"}
    assert np.flatnonzero(np.isnan(found["fc6"]).any(axis=1)).tolist() == [3]
    strict = ImageSet.whole(open_images(images / "images"))
    settings = strict, [network], ["fc6"], descriptor, RUNNING, Alone(), tmp_path / "c"
    with (
        measured_features(*settings) as kept,
        pytest.raises(DataError, match="an earlier run skipped it"),
    ):
        kept.write(found)


def test_rows_of_zeros_stay():
    assert normalised(np.array([[0.0, 0.0], [3.0, 4.0]])).tolist() == [[0.0, 0.0], [0.6, 0.8]]
