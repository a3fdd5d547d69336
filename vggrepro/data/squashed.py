"""Recognising images that were squashed to squares, as Caffe's example databases are."""

from __future__ import annotations

import numpy as np

from vggrepro.data.sources.base import Source

_SAMPLES = 32
"""Images that are looked at: of photographs in their own shapes so many are never all squares of one size."""

COST = "3.4 points of top-1 error on the digits of --demo"
"""What squashing costs: the error of ``--demo --protocol dense --scales 64,72,80 --no-flip`` with ``--resize
warp`` less that without. On ILSVRC it has not been measured here."""


def squashed_notice(source: Source) -> str | None:
    """What to tell of a source whose images are all squares of one size, by a sample of up to 32 that can be
    read; None for any other, and for a single image."""
    places = np.unique(np.linspace(0, len(source) - 1, _SAMPLES).astype(int))
    sizes = [size for place in places if (size := source.declared_size(int(place))) is not None]
    if len(sizes) < 2 or len(set(sizes)) > 1 or sizes[0][0] != sizes[0][1]:
        return None
    side = sizes[0][0]
    return (
        f"{source.name}: all {len(sizes)} images looked at are {side} x {side} pixels, as convert_imageset"
        " --resize_height --resize_width squashes them; every protocol of the paper keeps the aspect ratio"
        f" (section 3.2), and squashing lowers accuracy ({COST}): use the original files"
    )
