"""The way back of :func:`vggrepro.layers.rules.unfold.unfold`, in graphs."""

from __future__ import annotations

from math import prod

import numpy as np

from vggrepro.emit import GraphBuilder, Shape
from vggrepro.layers.rules.correlation import Correlation
from vggrepro.layers.rules.window import Windows


def emit_folded(g: GraphBuilder, columns: str, shape: Shape, top: Shape, windows: Windows) -> str:
    """What every window saw, (N, C * kernel elements, windows...) with the sizes of ``top``, added up where
    it was seen in a blob of ``shape`` (N, C, sizes...): the gradient of a convolution within each channel,
    whose filters each pick one element."""
    size, channels = prod(windows.kernel), shape[1]
    picking = np.tile(np.eye(size, dtype=np.float32), (channels, 1)).reshape(-1, 1, *windows.kernel)
    picked = Correlation(shape, (shape[0], channels * size, *top[2:]), windows, group=channels)
    return picked.input_gradient(g, columns, g.const(picking))
