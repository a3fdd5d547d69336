"""Feature maps: the values of the blob in Caffe's arithmetic, one grid for each view."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vggrepro.data.preprocess import rescale, to_blob
from vggrepro.data.sources import open_images
from vggrepro.evaluation.measuring.evaluated_net import load_network
from vggrepro.evaluation.measuring.pipeline import ImageSet
from vggrepro.evaluation.net_files import NetFiles
from vggrepro.evaluation.protocols import Member
from vggrepro.graph.reference import reference_forward
from vggrepro.net.transforms.fully_convolutional import fully_convolutional
from vggrepro.pictures.feature_sheet import feature_sheet
from vggrepro.pictures.sheet import grid_places

MEAN = (100.0, 110.0, 120.0)


def first(images: Path) -> ImageSet:
    whole = ImageSet.whole(open_images(images / "images"))
    return ImageSet(whole.source, whole.indexes[:1])


def test_a_grid_shows_the_blob(nets: list[NetFiles], images: Path) -> None:
    network = load_network(nets[0], MEAN, "conv1")
    made = feature_sheet(network, first(images), Member("one", "dense", (9, 12), flip=False), zoom=3)
    pixels = first(images).source.decoded(0).pixels
    assert len(made.places) == 2
    for (place,), scale in zip(made.places, (9, 12), strict=True):
        blob = to_blob(rescale(pixels, scale)[None], MEAN)
        net = fully_convolutional(network.net).reshape({"data": blob.shape})
        maps = reference_forward(net, {"data": blob})["conv1"][0]
        height, width = maps.shape[1:]
        levels = 255 * (maps - maps.min()) / (maps.max() - maps.min())
        for expected, (top, left) in zip(levels, grid_places(4, 3 * height, 3 * width, 1), strict=True):
            y, x = place[0] + top, place[1] + left
            found = made.pixels[y : y + 3 * height, x : x + 3 * width]
            assert (found == found[..., :1]).all()
            assert np.abs(found[1::3, 1::3, 0] - expected).max() <= 0.51


def test_every_view_has_a_panel(nets: list[NetFiles], images: Path) -> None:
    network = load_network(nets[0], MEAN, "fc6")  # a vector: each value a map of one pixel
    made = feature_sheet(network, first(images), Member("one", "tencrop", (10,), flip=True), zoom=2)
    assert len(made.places) == 10
