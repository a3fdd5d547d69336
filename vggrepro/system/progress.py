"""How far a long piece of work has come, on standard error: a bar on a terminal, whole lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vggrepro.system.notes import is_quiet, note
from vggrepro.system.quantities import duration
from vggrepro.system.ranks import Ranks

SOON = 5.0
"""Seconds until the first line, where standard error is a file or a pipe."""

EVERY = 30.0
"""Seconds between two lines."""

Clock = Callable[[], float]
"""Seconds since some moment, as ``time.monotonic`` tells them."""


@contextmanager
def progress(
    label: str, images: int, done: float, ranks: Ranks, clock: Clock = time.monotonic
) -> Iterator[Callable[[float], None]]:
    """Show the progress, rate and time left of the first rank's share of ``images``; all ranks have equal
    shares.

    ``done`` is how many images' worth of work of all ranks is finished already. The block gets a function to
    call with each further number of images, or part of one, that is finished. Other ranks show nothing, and
    ``--quiet`` has nothing shown.
    """
    if ranks.rank or is_quiet():
        yield lambda _: None
        return
    text = label if ranks.size == 1 else f"{label}, 1 of {ranks.size} ranks"
    total, count = round(images / ranks.size), done / ranks.size
    first = round(count)
    shown = _bar(text, total, first) if sys.stderr.isatty() else _lines(text, total, first, clock)
    with shown as show:

        def advance(more: float) -> None:
            nonlocal count
            count += more
            show(min(round(count), total))

        yield advance


@contextmanager
def _bar(label: str, total: int, first: int) -> Iterator[Callable[[int], None]]:
    """A bar that is drawn over and over; the block gets a function to call with each new count."""
    from tqdm import tqdm

    with tqdm(total=total, initial=first, desc=label, unit="img", mininterval=0.5, file=sys.stderr) as bar:
        yield lambda count: bar.update(count - bar.n)
        bar.update(total - bar.n)


@contextmanager
def _lines(label: str, total: int, first: int, clock: Clock) -> Iterator[Callable[[int], None]]:
    """A line where work goes on that was begun before, one soon after the beginning, one about every 30
    seconds, and one at the end."""
    begin = clock()
    due = begin + SOON
    if 0 < first < total:
        note(f"{label}: goes on at {first:,} of {total:,} images")

    def show(count: int) -> None:
        nonlocal due
        now = clock()
        if now >= due:
            due = now + EVERY
            speed = (count - first) / (now - begin)
            left = f", {duration((total - count) / speed)} left" if speed else ""
            note(f"{label}: {count:,} of {total:,} images, {speed:.1f} img/s{left}")

    yield show
    if first < total:
        seconds = max(clock() - begin, 1e-9)
        speed = (total - first) / seconds
        note(f"{label}: {total:,} of {total:,} images, {speed:.1f} img/s, in {duration(seconds)}")
