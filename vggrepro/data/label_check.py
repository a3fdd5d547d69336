"""Labels that a net cannot take: found before its graph runs, and named by the file they come from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vggrepro.data.arrays import Ints
from vggrepro.errors import DataError


def check_labels(labels: Sequence[int] | Ints, classes: int, where: str) -> None:
    """Raise DataError, which begins with ``where``, unless every label is from 0 to ``classes`` - 1: Caffe
    reads beyond the scores in memory for others."""
    values = np.asarray(labels)
    if not values.size:
        return
    least, most = int(values.min()), int(values.max())
    if least >= 0 and most < classes:
        return
    hint = ""
    if least >= 1 and most == classes:
        hint = " (they seem to count from 1: ids of the devkit are read from its own ground truth file)"
    if (least, most) == (-1, classes - 2):
        hint = " (they seem to be one too low)"
    raise DataError(f"{where}: labels run from {least} to {most}, expected 0 to {classes - 1}{hint}")
