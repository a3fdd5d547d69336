"""Descriptors of appendix B, against the same averages taken by hand."""

import cv2
import numpy as np
import pytest

from vggrepro.data.sources import open_images
from vggrepro.errors import ProtocolError
from vggrepro.evaluation.features import Descriptor, descriptor_shape, extract_descriptors, normalised
from vggrepro.evaluation.measuring.evaluated_net import Scorer, load_network
from vggrepro.evaluation.measuring.pipeline import Execution, ImageSet

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


@pytest.mark.parametrize("combine", ["average", "stack", "max"])
@pytest.mark.parametrize("normalise", ["end", "each", "none"])
def test_a_descriptor_is_what_appendix_b_says(images, nets, combine, normalise):
    network = load_network(nets[0], MEAN, "fc6")
    descriptor = Descriptor("dense", (14, 9, 11), True, combine, normalise)
    out = np.zeros((23, *descriptor_shape([network], descriptor)), np.float32)
    assert (
        extract_descriptors(
            ImageSet.whole(open_images(images / "images")), [network], descriptor, RUNNING, out
        )
        == {}
    )
    assert np.abs(out - by_hand(images, network, descriptor)).max() < 1e-5
    assert np.ptp(out, axis=0).max() > 0.05


def test_networks_are_stacked(images, nets):
    networks = [load_network(files, MEAN, "fc6") for files in nets]
    descriptor = Descriptor("dense", (10,), False, normalise="none")
    out = np.zeros((23, 18), np.float32)
    extract_descriptors(ImageSet.whole(open_images(images / "images")), networks, descriptor, RUNNING, out)
    for number, network in enumerate(networks):
        expected = by_hand(images, network, descriptor)
        assert np.abs(out[:, 9 * number : 9 * number + 9] - expected).max() < 1e-4


def test_any_blob_with_its_map(images, nets):
    network = load_network(nets[0], MEAN, "conv1")
    descriptor = Descriptor("centre", (8,), False, normalise="none", pool="none")
    assert descriptor_shape([network], descriptor) == (4, 8, 8)
    out = np.zeros((23, 4, 8, 8), np.float32)
    extract_descriptors(ImageSet.whole(open_images(images / "images")), [network], descriptor, RUNNING, out)
    path = sorted((images / "images").iterdir())[6]
    picture = rescaled(cv2.imread(str(path)), 8)
    top, left = (picture.shape[0] - 8) // 2, (picture.shape[1] - 8) // 2
    seen = picture[top : top + 8, left : left + 8].transpose(2, 0, 1).astype(np.float32)
    blob = (seen - np.float32(MEAN)[:, None, None])[None]
    expected = Scorer(network, "cpu", convolutional=False, threads=1)(blob)[0]
    assert np.abs(out[6] - expected).max() < 1e-4


def test_rows_of_zeros_stay():
    assert normalised(np.array([[0.0, 0.0], [3.0, 4.0]])).tolist() == [[0.0, 0.0], [0.6, 0.8]]


def test_maps_of_several_scales_cannot_be_kept():
    with pytest.raises(ProtocolError, match="expected crops at one scale"):
        Descriptor("dense", (8,), pool="none")
