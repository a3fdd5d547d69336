"""A view cache that holds all that a plan needs, whatever of it was there before."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vggrepro.data.arrays import Ints
from vggrepro.errors import DataError, ProtocolError
from vggrepro.evaluation.goals import Plan
from vggrepro.evaluation.measuring.image_choice import identity
from vggrepro.evaluation.measuring.measure import bad_images, fill, finished, missing_bytes
from vggrepro.evaluation.measuring.network import Network, check_scales, load_scores
from vggrepro.evaluation.measuring.pipeline import Running, Task
from vggrepro.evaluation.measuring.progress import progress
from vggrepro.evaluation.measuring.view_cache import ViewCache
from vggrepro.evaluation.protocols import Stream
from vggrepro.system.ranks import Ranks


@dataclass(frozen=True, eq=False)
class Measured:
    """Log posteriors in ``cache`` of the images at ``indexes`` (those that can be decoded). ``networks`` says
    what the numbers depend on."""

    cache: ViewCache
    indexes: Ints
    classes: int
    networks: tuple[dict[str, Any], ...]
    seconds: float


@contextmanager
def measured(
    plan: Plan, task: Task, running: Running, ranks: Ranks, folder: Path | None, check: Callable[[int], None]
) -> Iterator[Measured]:
    """Fill a view cache for the plan, in ``folder``, or in a temporary one that is gone afterwards.

    Every rank runs this and gets the same. ``check`` is called with a network's number of classes before
    anything is measured. Progress goes to stderr. Raises what ``fill`` and ``ViewCache`` raise, and
    ProtocolError for networks whose classes differ.
    """
    began = time.monotonic()
    with _cache(task, ranks, folder) as cache:
        networks: list[Network] = []
        for number, files in enumerate(plan.files):
            network = load_scores(files, plan.mean, plan.score_blob)
            check(network.channels)
            if networks and network.channels != networks[0].channels:
                raise ProtocolError(
                    f"{network.name} has {network.channels} classes, {networks[0].name} has"
                    f" {networks[0].channels}: they cannot be fused"
                )
            label = f"{files.name} ({number + 1}/{len(plan.files)})" if len(plan.files) > 1 else files.name
            streams = [stream for stream in plan.streams if stream.net == files.name]
            _measure(cache, network, streams, task, running, ranks, label)
            networks.append(network)
        bad = bad_images(cache, plan.streams, task.indexes)
        if bad.any() and task.on_bad == "error":
            raise DataError(_first_bad(cache, task, int(task.indexes[bad][0])))
        facts = tuple({"name": network.name, **network.facts()} for network in networks)
        seconds = time.monotonic() - began
        yield Measured(cache, task.indexes[~bad], networks[0].channels, facts, seconds)
        ranks.barrier()  # the first rank removes a temporary folder


def _measure(
    cache: ViewCache,
    network: Network,
    streams: list[Stream],
    task: Task,
    running: Running,
    ranks: Ranks,
    label: str,
) -> None:
    check_scales(network, streams)
    if not ranks.rank:
        for stream in streams:
            cache.create(stream, network.channels, {**network.facts(), **task.reading.facts()})
        _check_room(cache, streams, task.indexes)
    ranks.barrier()
    done = finished(cache, streams, task.indexes, network.crop)
    with progress(label, len(task.indexes), done, ranks) as advance:
        fill(cache, network, streams, task, running, ranks, advance)
    ranks.barrier()


def _check_room(cache: ViewCache, streams: Sequence[Stream], indexes: Ints) -> None:
    needed = missing_bytes(cache, streams, indexes)
    free = shutil.disk_usage(cache.root).free
    if needed > free:
        raise ProtocolError(
            f"{cache.root}: {free / 1e9:.1f} GB free, the posteriors need {needed / 1e9:.1f} GB;"
            " give --cache a folder with more room"
        )


def _first_bad(cache: ViewCache, task: Task, index: int) -> str:
    reason = cache.notes("bad").get(index, "cannot be decoded")
    return f"{task.source.key(index)}: {reason} (an earlier run skipped it)"


@contextmanager
def _cache(task: Task, ranks: Ranks, folder: Path | None) -> Iterator[ViewCache]:
    """The cache, opened by the first rank before the others: it makes the manifest."""
    header = identity(task.source)
    with _folder(folder, ranks) as root:
        if ranks.rank:
            ranks.barrier()
        keep = folder is not None
        with ViewCache(root, header, len(task.source), keep_views=keep, lock=not ranks.rank) as cache:
            if not ranks.rank:
                ranks.barrier()
            yield cache


@contextmanager
def _folder(folder: Path | None, ranks: Ranks) -> Iterator[Path]:
    if folder is not None:
        yield folder
        return
    made = Path(tempfile.mkdtemp(prefix="vggrepro-")) if not ranks.rank else None
    root = ranks.broadcast(made)
    if root is None or not root.is_dir():
        raise ProtocolError(f"{root}: not on this machine; ranks on several machines need a shared --cache")
    try:
        yield root
    finally:
        if not ranks.rank:
            shutil.rmtree(root)
