"""The progress bar of an evaluation, on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

from vggrepro.system.ranks import Ranks


@contextmanager
def progress(label: str, images: int, done: float, ranks: Ranks) -> Iterator[Callable[[float], None]]:
    """A bar with rate and time left, for the first rank's share of ``images``; all ranks have equal shares.

    ``done`` is how many images' worth of work of all ranks is finished already. The block gets a function to
    call with each further number of images, or part of one, that is finished. Other ranks show no bar.
    """
    if ranks.rank:
        yield lambda _: None
        return
    text = label if ranks.size == 1 else f"{label}, 1 of {ranks.size} ranks"
    total, count = round(images / ranks.size), done / ranks.size
    bar = tqdm(total=total, initial=round(count), desc=text, unit="img", mininterval=0.5, file=sys.stderr)
    with bar:

        def advance(more: float) -> None:
            nonlocal count
            count += more
            bar.update(min(round(count), total) - bar.n)

        yield advance
        bar.update(total - bar.n)
