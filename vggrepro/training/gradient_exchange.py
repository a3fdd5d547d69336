"""Averaging gradients over ranks: synchronous data parallelism, as the paper trained (section 3.3)."""

from __future__ import annotations

from collections.abc import Callable

from vggrepro.runtime.buffers import FlatBuffer
from vggrepro.system.ranks import Ranks

BUCKET = 1 << 22
"""Elements that are added up at once, 16 MB: the first ones can be used while the others are under way."""

Wait = Callable[[int], None]
"""Waits until the elements before this one are ready."""


def ready(_: int) -> None:
    """A ``Wait`` for what is ready already."""


def begin_sum(ranks: Ranks, buffer: FlatBuffer) -> Wait:
    """Start to replace a buffer of gradients by the sum over all ranks, bucket by bucket.

    Every rank gets the same bits, so equal parameters stay equal. On a GPU the buffer passes through the
    host's memory, and nothing is ready before everything is.
    """
    if ranks.size == 1:
        return ready
    flat = buffer.read()
    waits = [ranks.begin_add_up(flat[start : start + BUCKET]) for start in range(0, buffer.size, BUCKET)]
    done = 0

    def wait(end: int) -> None:
        nonlocal done
        last = len(waits) if buffer.device.kind != "cpu" else -(-end // BUCKET)
        if done >= last:
            return
        for bucket in waits[done:last]:
            bucket()
        done = last
        if buffer.device.kind != "cpu":
            buffer.write(flat)

    return wait
