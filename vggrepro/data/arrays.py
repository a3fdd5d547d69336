"""The arrays that pass through an evaluation, by their dtype."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
"""Labels, and places of images."""

Singles = npt.NDArray[np.float32]
"""What networks take and give, and what the cache stores."""

Doubles = npt.NDArray[np.float64]
"""Posteriors while they are averaged."""
