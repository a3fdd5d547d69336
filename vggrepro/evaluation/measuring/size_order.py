"""The order in which a pass takes the images, so that those of one size come together.

A GPU plans a convolution anew for each size of its input. Images that are evaluated as a whole are taken in
the order of their rescaled sizes, as their headers declare them, over the whole pass: then each size comes
once, and what deep layers see changes even less often. It changes no result, only its time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vggrepro.data.preprocess import rescaled_size
from vggrepro.errors import DataError
from vggrepro.evaluation.measuring.pipeline import ImageSet
from vggrepro.evaluation.measuring.view_batches import Size
from vggrepro.evaluation.protocols import Stream
from vggrepro.system.ranks import Alone, Ranks
from vggrepro.system.threads import ordered_map

_UNKNOWN: Size = (0, 0)


def ordered_by_size(
    images: ImageSet, streams: Sequence[Stream], threads: int, ranks: Ranks | None = None
) -> ImageSet:
    """The images by rescaled size where one of the ``streams`` looks at whole images, else as they are. Those
    whose headers tell no size come first. The first of ``ranks`` decides for all."""
    scales = sorted({stream.scale for stream in streams if stream.view_kind == "dense"})
    if not scales or images.reading.resize == "warp":
        return images
    ranks = ranks or Alone()
    order = ranks.broadcast([] if ranks.rank else _order(images, scales, threads))
    return replace(images, indexes=images.indexes[np.array(order, np.int64)])


def _order(images: ImageSet, scales: Sequence[int], threads: int) -> list[int]:
    """Positions in ``images.indexes``, by the sizes of the images at the ``scales``."""

    def sizes(index: int) -> tuple[Size, ...]:
        try:
            declared = images.source.declared_size(index) or _UNKNOWN
            return tuple(rescaled_size(*declared, scale) for scale in scales)
        except DataError:
            return (_UNKNOWN,)

    found = list(ordered_map(sizes, map(int, images.indexes), threads=threads, ahead=64))
    return sorted(range(len(found)), key=found.__getitem__)
