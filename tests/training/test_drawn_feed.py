"""What DummyData layers draw."""

from __future__ import annotations

import numpy as np

from vggrepro.caffe.messages import TRAIN
from vggrepro.caffe.text import parse_net
from vggrepro.training.drawn_feed import DrawnFeed

LAYER = parse_net(
    'layer { name: "d" type: "DummyData" top: "x" top: "y" dummy_data_param { shape { dim: 4 dim: 2 } '
    'data_filler { type: "uniform" min: 1 max: 2 } } }'
).layer[0]


def test_a_batch_follows_from_seed_iteration_and_layer() -> None:
    feed = DrawnFeed(LAYER, TRAIN, seed=3, number=0)
    batch = feed.batch(7)
    assert {name: array.shape for name, array in batch.items()} == {"x": (4, 2), "y": (4, 2)}
    assert ((batch["x"] >= 1) & (batch["x"] < 2)).all()
    np.testing.assert_array_equal(feed.batch(7)["x"], batch["x"])
    others = [
        feed.batch(8)["x"],
        batch["y"],
        DrawnFeed(LAYER, TRAIN, seed=4, number=0).batch(7)["x"],
        DrawnFeed(LAYER, TRAIN, seed=3, number=1).batch(7)["x"],
    ]
    assert all((other != batch["x"]).any() for other in others)
    assert feed.place(7, 2) == "layer 'd': row 2 of batch 7"
