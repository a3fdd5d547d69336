"""Work done ahead in threads: results come in order, and their number in memory is bounded."""

from __future__ import annotations

import importlib
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")
R = TypeVar("R")


def default_threads() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def import_numpy_alone() -> None:
    """Import numpy so that its BLAS makes no threads, unless the environment tells how many it shall make.

    They keep the processors busy for 0.08 s after they are made, although nobody has work for them. This is
    for commands that multiply no matrices in numpy. If numpy has been imported before, nothing changes.
    """
    if not _BLAS_THREADS.isdisjoint(os.environ):
        return
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    try:
        importlib.import_module("numpy")
    finally:
        del os.environ["OPENBLAS_NUM_THREADS"]


_BLAS_THREADS = frozenset({"OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"})
"""Variables of the environment that OpenBLAS heeds."""


def ordered_map(
    function: Callable[[T], R], items: Iterable[T], *, threads: int, ahead: int | None = None
) -> Generator[R, None, None]:
    """Yield ``function(item)`` for every item, in the items' order, computed in ``threads`` threads.

    At most ``ahead`` results (default: twice the threads) are being computed or wait to be taken, so memory
    does not grow with the number of items. An exception of ``function`` is raised at its item's turn, and
    items that no thread has begun by then are dropped.
    """
    from concurrent.futures import ThreadPoolExecutor  # command lines, which ask for a default, do without

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
