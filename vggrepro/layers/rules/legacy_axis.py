"""The axis of Concat and Slice, which has an older field besides ``axis``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vggrepro.emit import Shape
from vggrepro.errors import NetError, ShapeError
from vggrepro.layers.rules.axes import canonical_axis


@dataclass(frozen=True)
class LegacyAxis:
    """The axis of Concat and Slice: ``axis``, which may be negative, or the older unsigned
    ``concat_dim`` or ``slice_dim``, which must not."""

    value: int
    legacy: str | None = None
    """The older field's name, where that one is set."""

    @classmethod
    def parse(cls, message: Any, legacy: str) -> LegacyAxis:
        if not message.HasField(legacy):
            return cls(message.axis)
        if message.HasField("axis"):
            raise NetError(f"Either axis or {legacy} should be specified; not both.")
        return cls(getattr(message, legacy), legacy)

    def of(self, shape: Shape, what: str) -> int:
        if self.legacy is None:
            return canonical_axis(self.value, shape, what)
        if self.value >= len(shape):
            raise ShapeError(f"{self.legacy} out of range. ({self.value} vs. {len(shape)} axes)")
        return self.value
