"""What Caffe's DummyData layers put into their tops: values that fillers draw anew in every pass."""

from __future__ import annotations

from typing import Any

from vggrepro.data.feeds.base import Feed, Float32
from vggrepro.data.random_streams import Purpose, stream
from vggrepro.layers.dummy_data import DummyData
from vggrepro.net.fillers import fill


class DrawnFeed(Feed):
    """The tops of a DummyData layer, the ``number``-th of its net. As those of other feeds, a batch follows
    from the seed and the iteration alone. (A layer with constant fillers alone is part of the graph.)"""

    def __init__(self, param: Any, phase: int, seed: int, number: int) -> None:
        shapes = DummyData.from_param(param, phase).shapes
        fillers = list(param.dummy_data_param.data_filler)
        if len(fillers) == 1:
            fillers *= len(shapes)
        self._name, self._seed, self._number = param.name, seed, number
        self._tops = list(zip(param.top, shapes, fillers, strict=True))

    def batch(self, iteration: int) -> dict[str, Float32]:
        rng = stream(self._seed, Purpose.BATCH, iteration, 1 + self._number)
        return {top: fill(shape, filler, rng) for top, shape, filler in self._tops}

    def place(self, iteration: int, row: int) -> str:
        """Where an example comes from, for messages."""
        return f"layer {self._name!r}: row {row} of batch {iteration}"
