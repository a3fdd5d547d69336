"""Filters and feature maps as tiles: one scale of brightness for all values of a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vggrepro.data.arrays import Singles
from vggrepro.data.choices import ChannelOrder
from vggrepro.data.decode import Pixels
from vggrepro.errors import NetError, WeightsError
from vggrepro.net.net import Net
from vggrepro.net.requirements import layers_without_weights


@dataclass(frozen=True, eq=False)
class ValueTiles:
    """Tiles (n, h, w, C), uint8, C = 3 (B, G, R) or 1. Black is the value ``least``, white ``most``."""

    tiles: Pixels
    least: float
    most: float

    def values(self) -> npt.NDArray[np.float64]:
        """The values that the tiles' brightness stands for, each exact to half a level."""
        return self.least + self.tiles.astype(np.float64) * ((self.most - self.least) / 255)


def first_filters(net: Net) -> tuple[str, Singles]:
    """The name of the net's first layer with filters (N, C, h, w), and its filters, C = 3 or 1.

    Raises NetError for a net without such a layer, WeightsError where no file gave its weights.
    """
    for layer in net.layers:
        if layer.params and len(layer.params[0].definition.shape) == 4:
            channels = layer.params[0].definition.shape[1]
            if channels not in (1, 3):
                raise NetError(
                    f"{layer.place}: filters of {channels} channels, expected 3 (colours) or 1 (grey)"
                )
            if layer.name in layers_without_weights(net):
                raise WeightsError(f"{layer.place}: no file gave its weights")
            return layer.name, net.params[layer.params[0].key]
    raise NetError(f"net {net.name!r}: no layer has filters (N, C, h, w)")


def filter_tiles(filters: Singles, order: ChannelOrder = "bgr") -> ValueTiles:
    """Filters (N, C, h, w), whose three channels are in ``order``, as pictures (N, h, w, C) in B, G, R."""
    pictures = filters.transpose(0, 2, 3, 1)  # N h w C
    return value_tiles(pictures[..., ::-1] if order == "rgb" else pictures)


def map_tiles(maps: Singles) -> ValueTiles:
    """Feature maps (C, h, w) as grey pictures (C, h, w, 1)."""
    return value_tiles(maps[..., None])


def value_tiles(values: Singles) -> ValueTiles:
    """Pictures (n, h, w, C) whose smallest value of all is black, the largest white; a single value is grey.
    Raises NetError for values that are not finite."""
    if not np.isfinite(values).all():
        raise NetError("values that are no finite numbers cannot be shown")
    least, most = float(values.min()), float(values.max())
    if least == most:
        return ValueTiles(np.full(values.shape, 128, np.uint8), least, most)
    levels = np.rint((values.astype(np.float64) - least) * (255 / (most - least)))
    return ValueTiles(levels.astype(np.uint8), least, most)
