"""How an image descriptor is made: the choices of the paper's appendix B."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from vggrepro.errors import ProtocolError
from vggrepro.evaluation.protocols import Member, Stream, stream_shares

Combine = Literal["average", "stack", "max"]
Normalise = Literal["end", "each", "none"]
Pool = Literal["average", "none"]


@dataclass(frozen=True)
class Descriptor:
    """How a descriptor is made.

    ``protocol`` is a protocol of section 3.2 other than "both"; the mean over its views and mirror images is
    taken. ``scales`` are smallest sides Q in pixels, and ``combine`` says how they become one descriptor.
    ``pool`` "average" takes the mean of a blob (C, h, w) over positions, "none" keeps it, which is possible
    for crops at one scale. ``normalise`` divides by the Euclidean norm: of the whole descriptor ("end", as
    the paper tells it), of each scale of each network before they are combined ("each", which its words allow
    too), or not at all ("none"). Raises ProtocolError for settings that contradict each other.
    """

    protocol: str = "dense"
    scales: tuple[int, ...] = (256,)
    flip: bool = True
    combine: Combine = "average"
    normalise: Normalise = "end"
    pool: Pool = "average"

    def __post_init__(self) -> None:
        if self.protocol == "both":
            raise ProtocolError("protocol both is a mean of posteriors: expected one kind of views")
        if self.pool == "none" and (self.protocol == "dense" or len(self.scales) > 1):
            raise ProtocolError("maps without pooling differ in size: expected crops at one scale")

    def streams(self, net: str) -> tuple[Stream, ...]:
        """The streams of the network called ``net`` that the descriptor is made from."""
        return tuple(sorted(stream_shares([Member(net, self.protocol, self.scales, self.flip)])))

    def facts(self) -> dict[str, Any]:
        """The settings, ready for JSON."""
        return asdict(self)
