"""What the paper leaves open about testing, and the readings of its words that a sweep measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from vggrepro.data.choices import Centre, Exif, Kernel
from vggrepro.errors import ProtocolError, did_you_mean
from vggrepro.evaluation.measuring.rescaled_image import ImageReading
from vggrepro.evaluation.protocols import AVERAGES, Member

AXES: Mapping[str, tuple[str, ...]] = {
    "kernel": get_args(Kernel),
    "average": AVERAGES,
    "centre": get_args(Centre),
    "exif": get_args(Exif),
}
"""The open questions by the names of their options, and every reading of each."""


def parse_axes(text: str) -> tuple[str, ...]:
    """``kernel,average``. Raises ProtocolError that lists the axes for an unknown one, or one named twice."""
    axes = tuple(text.split(","))
    for axis in axes:
        if axis not in AXES:
            raise ProtocolError(
                f"unknown axis {axis!r}: expected some of {','.join(AXES)}{did_you_mean(axis, AXES)}"
            )
    if len(set(axes)) != len(axes):
        raise ProtocolError(f"an axis is named twice in {text!r}: expected some of {','.join(AXES)}")
    return axes


@dataclass(frozen=True)
class OpenReading:
    """One reading of an open question: the ``axis`` and its ``value``; ``usual`` says whether it is the run's
    own."""

    axis: str
    value: str
    usual: bool

    def members(self, members: Sequence[Member]) -> tuple[Member, ...]:
        """The members read in this way, and otherwise as the run reads them."""
        if self.usual:
            return tuple(members)
        if self.axis == "average":
            return tuple(replace(member, average=self.value) for member in members)
        return tuple(replace(member, changes=((self.axis, self.value),)) for member in members)


def open_readings(axes: Sequence[str], reading: ImageReading, average: str) -> tuple[OpenReading, ...]:
    """All readings of the ``axes``, the run's own, ``reading`` and ``average``, first in each."""
    found = []
    for axis in axes:
        usual = average if axis == "average" else getattr(reading, axis)
        values = [usual, *(value for value in AXES[axis] if value != usual)]
        found += [OpenReading(axis, value, value == usual) for value in values]
    return tuple(found)
