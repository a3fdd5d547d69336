"""Labels that a net cannot take: found before its graph runs, and named by the place they come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vggrepro.errors import DataError


def check_labels(
    labels: Sequence[int] | npt.NDArray[Any],
    classes: int,
    where: str,
    *,
    ignore_label: int | None = None,
    place: Callable[[int], str] | None = None,
) -> None:
    """Raise DataError unless every label is a whole number from 0 to ``classes`` - 1, or ``ignore_label``.

    ``labels`` may be of any shape and dtype; float32, as in a net's blobs, is the usual one. ``where`` names
    the data or the layer; ``place`` gives the place (file, line or key) of the example with an index along
    the first axis. Caffe reads beyond the scores in memory for labels outside, and cuts off fractions.
    """
    values = np.asarray(labels)
    wrong = ~np.isfinite(values) | (values != np.floor(values)) | (values < 0) | (values >= classes)
    if ignore_label is not None:
        wrong &= values != ignore_label
    if not wrong.any():
        return
    expected = f"expected 0 to {classes - 1}"
    if ignore_label is not None:
        expected += f" or ignore_label {ignore_label}"
    if place is None and np.isfinite(values).all() and (values == np.floor(values)).all():
        least, most = int(values.min()), int(values.max())
        hint = ""
        if least >= 1 and most == classes:
            hint = " (they seem to count from 1: ids of the devkit are read from its own ground truth file)"
        if (least, most) == (-1, classes - 2):
            hint = " (they seem to be one too low)"
        raise DataError(f"{where}: labels run from {least} to {most}, {expected}{hint}")
    first = int(wrong.reshape(-1).argmax())
    example = first // (values.size // len(values)) if values.ndim else 0
    source = f"{where}: example {example}" if place is None else f"{where}: {place(example)}"
    raise DataError(f"{source}: label {values.reshape(-1)[first]:.9g}, {expected}")
