"""A blob's maps for the views of an image: a grid of grey pictures for each view."""

from __future__ import annotations

import warnings

from vggrepro.data.arrays import Singles
from vggrepro.evaluation.measuring.evaluated_net import EvaluatedNet, Scorer, check_scales
from vggrepro.evaluation.measuring.pipeline import Answer, Execution, ImageSet
from vggrepro.evaluation.protocols import Member, stream_shares
from vggrepro.pictures.sheet import Panel, Sheet, grid, sheet
from vggrepro.pictures.value_tiles import map_tiles


def feature_sheet(network: EvaluatedNet, images: ImageSet, member: Member, zoom: int) -> Sheet:
    """A panel with the maps of the network's blob for each view that ``member`` takes of the ``images``, each
    value ``zoom`` pixels wide and high. The smallest value of a panel is black, its largest white; its title
    tells both. Raises what an evaluation of these views raises, and NetError for values that are not finite.
    """
    streams = tuple(sorted(stream_shares([member])))
    check_scales(network, streams)
    execution = Execution()
    scorer = Scorer.for_streams(network, streams, execution)
    panels = []
    for found in network.pipeline(images, streams, execution).all_answers(lambda _, blob: scorer(blob)):
        if not isinstance(found, Answer):
            warnings.warn(found.reason, stacklevel=2)
            continue
        for number, maps in enumerate(found.rows):
            what = str(found.stream).removeprefix(f"{member.net} ")
            which = f" {number + 1}" if len(found.rows) > 1 else ""
            panels.append(_panel(f"{network.blob}, {what}{which}", maps, zoom))
    return sheet(panels)


def _panel(name: str, maps: Singles, zoom: int) -> Panel:
    """``maps`` are (C, h, w), or (C,) for a vector."""
    shown = map_tiles(maps.reshape(len(maps), *(maps.shape[1:] or (1, 1))))
    height, width = shown.tiles.shape[1:3]
    title = f"{name}: {len(maps)} of {height} x {width}, {shown.least:.3g} to {shown.most:.3g}"
    return Panel(title, (grid(shown.tiles, zoom=zoom),))
