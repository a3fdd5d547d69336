"""Layers of whose rows the data decide the number say so."""

from __future__ import annotations

from vggrepro.layers.registry import known_types, layer_class


def test_every_layer_that_fills_rows_up_tells_with_what() -> None:
    classes = {name: layer_class(name) for name in known_types()}
    told = {name for name, kind in classes.items() if kind.data_rows is not None}
    texts = {
        name: " ".join(doc for c in kind.__mro__ if (doc := c.__doc__)) for name, kind in classes.items()
    }
    documented = {name for name, text in texts.items() if "depends on the data, a top's shape here" in text}
    assert documented <= told
    assert told == {
        "BoxGroupOutput",
        "BoxOutput",
        "DetectionOutput",
        "FrcnnOutput",
        "Proposal",
        "SimplerNMS",
        "YoloDetectionOutput",
        "Yolov3DetectionOutput",
    }
