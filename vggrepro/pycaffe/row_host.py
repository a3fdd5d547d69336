"""Layers whose tops have as many rows as the data give: Proposal, DetectionOutput and their kin."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from vggrepro.emit import Shape
from vggrepro.errors import PycaffeError
from vggrepro.layers.base import DataRows
from vggrepro.pycaffe import mode
from vggrepro.pycaffe.engine import Program
from vggrepro.pycaffe.segments import Memories, forward_segment
from vggrepro.pycaffe.site import Site


@dataclass
class RowHost:
    """Runs the layer's graph, which fills as many rows as there can be, and cuts the tops behind the last
    row that the data gave. One row always stays."""

    rows: DataRows
    programs: dict[tuple[str, tuple[Shape, ...]], Program] = field(default_factory=dict)

    def reshape(self, site: Site) -> None:
        """The first guess is that every row is given."""
        for top, shape in zip(site.tops, site.layer.out_shapes([b.dims for b in site.bottoms]), strict=True):
            top.reshape(*shape)

    def forward(self, site: Site) -> None:
        key = mode.device_name(), tuple(blob.dims for blob in (*site.bottoms, *site.tops))
        if key not in self.programs:
            self.programs.clear()
            segment = forward_segment([site], Memories({}, {}), frozen=False)
            self.programs[key] = Program(segment, key[0], mode.threads())
        self.programs[key].run()
        first, axis = site.tops[0], self.rows.axis
        array = np.moveaxis(first.net_data, axis, 0)
        given = np.nonzero((array.reshape(len(array), -1) != self.rows.empty).any(1))[0]
        count = int(given[-1]) + 1 if len(given) else 1
        for top in site.tops:
            shape = list(top.dims)
            shape[axis] = count
            top.reshape(*shape)

    def backward(self, site: Site) -> None:
        """The forks' backward passes do nothing."""


class CustomHost:
    """A layer that nothing here computes, in a net whose reader allows such layers: the net is made, and a
    pass that does not come to the layer, or to one without tops, runs."""

    def reshape(self, site: Site) -> None:
        for top, shape in zip(site.tops, site.layer.out_shapes([b.dims for b in site.bottoms]), strict=True):
            top.reshape(*shape)

    def forward(self, site: Site) -> None:
        if site.tops:
            raise PycaffeError(f"type {site.type} is unknown: a custom layer, which nothing here computes")

    def backward(self, site: Site) -> None:
        self.forward(site)
