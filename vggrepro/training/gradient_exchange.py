"""Averaging gradients over ranks: synchronous data parallelism, as the paper trained (section 3.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from vggrepro.runtime.device_array import DeviceArray
from vggrepro.system.ranks import Ranks

BUCKET = 1 << 22
"""Elements that are added up at once, 16 MB: the first ones can be used while the others are under way."""

Wait = Callable[[int], None]
"""Waits until the elements before this one are ready."""

ExchangeKind = Literal["mpi", "nccl"]


class GradientExchange(Protocol):
    """How ranks exchange what is on their devices."""

    def begin(self, gradients: DeviceArray) -> Wait:
        """Start to replace gradients by their sum over all ranks, the same bits on each."""

    def share(self, array: DeviceArray) -> None:
        """Give every rank the first one's contents of an array."""


@dataclass(frozen=True)
class MpiExchange:
    """Through the host's memory and MPI: for any device."""

    ranks: Ranks

    def begin(self, gradients: DeviceArray) -> Wait:
        return begin_sum(self.ranks, gradients)

    def share(self, array: DeviceArray) -> None:
        if self.ranks.size > 1:
            flat = array.read()
            self.ranks.copy_first(flat)
            array.write(flat)


def ready(_: int) -> None:
    """A ``Wait`` for what is ready already."""


def begin_sum(ranks: Ranks, gradients: DeviceArray) -> Wait:
    """Start to replace gradients by their sum over all ranks, bucket by bucket.

    Every rank gets the same bits, so equal parameters stay equal. On a GPU the gradients pass through the
    host's memory, and nothing is ready before everything is.
    """
    if ranks.size == 1:
        return ready
    flat = gradients.read()
    waits = [ranks.begin_add_up(flat[start : start + BUCKET]) for start in range(0, gradients.size, BUCKET)]
    done = 0

    def wait(end: int) -> None:
        nonlocal done
        last = len(waits) if gradients.device.kind != "cpu" else -(-end // BUCKET)
        if done >= last:
            return
        for bucket in waits[done:last]:
            bucket()
        done = last
        if gradients.device.kind != "cpu":
            gradients.write(flat)

    return wait
