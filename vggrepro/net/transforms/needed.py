"""The part of a net that some of its blobs depend on."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from vggrepro.net.net import Net


def needed_for(net: Net, blobs: Collection[str]) -> Net:
    """The net with the layers alone that ``blobs`` depend on, and those that are its inputs. Blobs whose last
    value another layer makes are gone."""
    needed, layers = {net.blobs[blob] for blob in blobs}, []
    for placed in reversed(net.layers):
        if placed.layer.source or needed.intersection(placed.tops):
            needed.update(placed.bottoms)
            layers.append(placed)
    made = {top for placed in layers for top in placed.tops}
    return replace(
        net,
        layers=tuple(layers[::-1]),
        shapes={value: shape for value, shape in net.shapes.items() if value in made},
        blobs={blob: value for blob, value in net.blobs.items() if value in made},
        outputs={blob: shape for blob, shape in net.outputs.items() if net.blobs[blob] in made},
    )
