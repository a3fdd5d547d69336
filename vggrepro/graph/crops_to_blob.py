"""From the crops that a loader gives to the blob that a net reads, on the device: bytes become floats,
rows of pixels become planes of channels, and each image is shifted by its colour shift minus the mean."""

from __future__ import annotations

import numpy as np

from vggrepro.emit import FLOAT, GraphBuilder, tensor_info
from vggrepro.graph.assembly import assemble_plain
from vggrepro.graph.model import Graph

IMAGES, SHIFTS, BLOB = "images", "shifts", "blob"


def crops_to_blob_graph(channels: int, side: int | None) -> Graph:
    """``blob`` (N, C, side, side), float32, from ``images`` (N, side, side, C), uint8, and ``shifts`` (N, C),
    float32: what to add to every pixel of each image. Without a side the images have any size."""
    height, width = ("H", "W") if side is None else (side, side)
    g = GraphBuilder()
    for name in (IMAGES, SHIFTS, BLOB):
        g.reserve(name)
    planes = g.op("Cast", g.op("Transpose", IMAGES, perm=[0, 3, 1, 2]), to=FLOAT)  # bytes move, not floats
    blob = g.op("Add", planes, g.op("Unsqueeze", SHIFTS, g.ints([2, 3])))
    return assemble_plain(
        "prepare",
        g,
        [
            tensor_info(IMAGES, ["N", height, width, channels], np.uint8),
            tensor_info(SHIFTS, ["N", channels], np.float32),
        ],
        [tensor_info(BLOB, ["N", channels, height, width], np.float32)],
        {BLOB: blob},
    )
