"""Caffe's rules for axes of blobs, and how it prints shapes."""

from __future__ import annotations

import math

from vggrepro.emit import Dims
from vggrepro.errors import ShapeError


def shape_string(shape: Dims) -> str:
    """A shape as Caffe prints it: its sizes, and their product in parentheses: ``2 3 4 5 (120)``."""
    known = [size for size in shape if size is not None]
    product = str(math.prod(known)) if len(known) == len(shape) else "?"
    return " ".join([*("?" if size is None else str(size) for size in shape), f"({product})"])


def canonical_axis(axis: int, blob: Dims | int, what: str) -> int:
    """Caffe's ``CanonicalAxisIndex``: a negative axis counts from the end. ``blob`` is a shape, or its
    number of axes. Raises ShapeError for an axis that the blob does not have."""
    rank = blob if isinstance(blob, int) else len(blob)
    if not -rank <= axis < rank:
        shape = "" if isinstance(blob, int) else f" with shape {shape_string(blob)}"
        raise ShapeError(f"{what}: axis {axis} out of range for {rank}-D Blob{shape}")
    return axis % rank
