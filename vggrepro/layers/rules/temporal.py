"""Fields of C3D's layers, whose windows reach over time, height and width.

Source: facebookarchive/C3D. Its version 1.0 adds fields to ``convolution_param`` and ``pooling_param``, 1.1
has messages with these fields alone.
"""

from __future__ import annotations

from typing import Any

from vggrepro.emit import Dims
from vggrepro.errors import NetError, ShapeError, UnsupportedError

Triple = tuple[int, int, int]
"""Of time, height and width."""


def temporal_message(definition: Any, new: str, old: str) -> Any:
    """The message ``new`` of 1.1 if a layer has it, or ``old`` of 1.0."""
    return getattr(definition, new if definition.HasField(new) else old)


def temporal_param(definition: Any, new: str, old: str) -> Any:
    """The same. Raises UnsupportedError for a field in ``old`` that C3D does not read, and NetError without
    ``kernel_size`` or ``kernel_depth``."""
    param = temporal_message(definition, new, old)
    if not definition.HasField(new):
        read = {*getattr(definition, new).DESCRIPTOR.fields_by_name, "engine"}
        for field, _ in param.ListFields():
            if field.name not in read:
                raise UnsupportedError(f"{old}: {definition.type} does not read {field.name}")
    if 0 in triple(param, "kernel_depth", "kernel_size", 0):
        raise NetError(f"{definition.type}: kernel_size and kernel_depth must be positive")
    return param


def triple(param: Any, time: str, square: str, unset: int) -> Triple:
    """The field ``time``, and twice the field ``square``, which ``old`` messages may repeat."""
    value = getattr(param, square)
    if not isinstance(value, int):
        if len(value) > 1:
            raise UnsupportedError(f"{square} must be given once in C3D's layers, got {list(value)}")
        value = value[0] if value else unset
    return int(getattr(param, time)), int(value), int(value)


def check_axes(type_: str, dims: Dims) -> None:
    """Raise ShapeError unless a bottom is (N, C, L, H, W)."""
    if len(dims) != 5:
        raise ShapeError(f"{type_}: the bottom must be (N, C, length, height, width), got {tuple(dims)}")
