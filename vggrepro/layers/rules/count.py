"""How many bottoms or tops a layer takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Count:
    """How many bottoms or tops a layer takes: ``least`` to ``most`` (None: any number)."""

    least: int
    most: int | None

    def __contains__(self, number: int) -> bool:
        return number >= self.least and (self.most is None or number <= self.most)

    def limit(self, number: int) -> str:
        """In Caffe's words, the limit that ``number`` is beyond."""
        if self.least == self.most:
            return str(self.least)
        return f"at least {self.least}" if number < self.least else f"at most {self.most}"


def exactly(number: int) -> Count:
    return Count(number, number)


def at_least(number: int) -> Count:
    return Count(number, None)
