"""Work done ahead in threads: results come in order, and their number in memory is bounded."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def default_threads() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def ordered_map(
    function: Callable[[T], R], items: Iterable[T], *, threads: int, ahead: int | None = None
) -> Generator[R, None, None]:
    """Yield ``function(item)`` for every item, in the items' order, computed in ``threads`` threads.

    At most ``ahead`` results (default: twice the threads) are being computed or wait to be taken, so memory
    does not grow with the number of items. An exception of ``function`` is raised at its item's turn, and
    items that no thread has begun by then are dropped.
    """
    ahead = max(ahead if ahead is not None else 2 * threads, 1)
    pool = ThreadPoolExecutor(max(threads, 1), thread_name_prefix="ordered_map")
    pending: deque[Future[R]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) >= ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
