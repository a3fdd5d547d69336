"""One evaluation from start to end: measure what is missing, average, compare, report."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tqdm import tqdm

from vggrepro.errors import DataError, ProtocolError
from vggrepro.evaluation.cache import ViewCache
from vggrepro.evaluation.feed import Running
from vggrepro.evaluation.goals import Goal
from vggrepro.evaluation.listing import identity
from vggrepro.evaluation.measure import Task, bad_images, fill, finished
from vggrepro.evaluation.metrics import Ints
from vggrepro.evaluation.network import MEAN_BGR, Network, load
from vggrepro.evaluation.presets import NetFiles
from vggrepro.evaluation.protocols import Stream, weights
from vggrepro.evaluation.report import Counts, Report
from vggrepro.evaluation.results import collect
from vggrepro.evaluation.truth import Truth
from vggrepro.net.surgery import fully_convolutional
from vggrepro.runtime.ranks import Ranks


@dataclass(frozen=True)
class Plan:
    """What to find out, and the networks for it: the goals' members name the nets of ``files``."""

    goals: Sequence[Goal]
    files: Sequence[NetFiles]
    mean: Sequence[float] = MEAN_BGR
    score_blob: str | None = None

    @property
    def streams(self) -> list[Stream]:
        """All that must be measured."""
        return sorted({stream for goal in self.goals for stream in weights(goal.members)})


def evaluate(
    plan: Plan, truth: Truth, task: Task, running: Running, ranks: Ranks, folder: Path | None
) -> Report | None:
    """Measure what ``folder`` (a view cache, or None for a temporary one) lacks, and report on every goal;
    the best of them in detail. Every rank calls this, and the first gets the report.

    Raises DataError, NetError, WeightsError, DeviceError or ProtocolError for what cannot be evaluated.
    """
    with measured(plan, task, running, ranks, folder, truth.check) as found:
        if ranks.rank:
            return None
        labels = truth.labels[found.indexes]
        results = [collect(found.cache, goal.members, found.indexes, labels) for goal in plan.goals]
        best = min(range(len(results)), key=lambda i: results[i].whole.errors.top1.wrong)
        diagnosis = truth.diagnosis(results[best].best, found.indexes, found.classes)
        return Report(
            goal=plan.goals[best],
            results=results[best],
            found=[(goal, r.whole) for goal, r in zip(plan.goals, results, strict=True)],
            counts=_counts(truth, task, found),
            names=truth.names,
            keys={m.index: truth.source.key(m.index) for m in results[best].worst},
            settings=settings(plan, truth, task, running, ranks, found.networks),
            seconds=found.seconds,
            notices=[diagnosis] if diagnosis else [],
        )


def _counts(truth: Truth, task: Task, found: Measured) -> Counts:
    chosen = {int(index) for index in task.indexes}

    def notes(kind: str) -> dict[str, str]:
        noted = found.cache.notes(kind)
        return {truth.source.key(index): reason for index, reason in noted.items() if index in chosen}

    return Counts(
        source=truth.source.name,
        listed=len(truth.source),
        blacklisted=len(truth.left_out),
        selected=len(task.indexes),
        bad=notes("bad"),
        truncated=notes("truncated"),
    )


@dataclass(frozen=True, eq=False)
class Measured:
    """Posteriors in ``cache`` of the images at ``indexes`` (those that can be decoded)."""

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
    anything is measured. Progress goes to stderr. Raises what :func:`~vggrepro.evaluation.measure.fill` and
    :class:`~vggrepro.evaluation.cache.ViewCache` raise.
    """
    with _folder(folder, ranks) as root:
        header = identity(task.source)
        if ranks.rank:
            ranks.barrier()  # the first rank makes the manifest
        with ViewCache(
            root, header, len(task.source), keep_views=folder is not None, lock=not ranks.rank
        ) as cache:
            if not ranks.rank:
                ranks.barrier()
            began = time.monotonic()
            networks, classes = [], 0
            for number, files in enumerate(plan.files):
                network = load(files, plan.mean, plan.score_blob)
                check(network.channels)
                classes = network.channels
                label = (
                    f"{files.name} ({number + 1}/{len(plan.files)})" if len(plan.files) > 1 else files.name
                )
                streams = [stream for stream in plan.streams if stream.net == files.name]
                _measure(cache, network, streams, task, running, ranks, label)
                networks.append({"name": files.name, "weights": str(files.weights), **network.facts()})
            bad = bad_images(cache, plan.streams, task.indexes)
            if bad.any() and task.on_bad == "error":
                raise DataError(_first_bad(cache, task, int(task.indexes[bad][0])))
            yield Measured(cache, task.indexes[~bad], classes, tuple(networks), time.monotonic() - began)
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
        _check_room(cache, network, streams, len(task.indexes))
        for stream in streams:
            cache.create(stream, network.channels, {**network.facts(), **task.reading.facts()})
    ranks.barrier()
    with _progress(cache, network, streams, task, ranks, label) as advance:
        fill(cache, network, streams, task, running, ranks, advance)
    ranks.barrier()


def check_scales(network: Network, streams: Sequence[Stream]) -> None:
    """Raise ProtocolError for scales smaller than the crop, ShapeError for those that the fully convolutional
    net cannot take."""
    for stream in streams:
        if stream.views != "dense" and stream.scale < network.crop:
            raise ProtocolError(
                f"scale {stream.scale}: smaller than {network.name}'s crops of {network.crop} pixels"
            )
    dense = sorted({stream.scale for stream in streams if stream.views == "dense"})
    if dense:
        shape = (1, 3, dense[0], dense[0])
        fully_convolutional(network.net).reshape({network.input: shape})


def _check_room(cache: ViewCache, network: Network, streams: Sequence[Stream], images: int) -> None:
    needed = sum(images * cache.views(stream) * network.channels * 4 for stream in streams)
    free = shutil.disk_usage(cache.root).free
    if needed > free:
        raise ProtocolError(
            f"{cache.root}: {free / 1e9:.1f} GB free, the posteriors need up to {needed / 1e9:.1f} GB;"
            " give --cache a folder with more room"
        )


def _first_bad(cache: ViewCache, task: Task, index: int) -> str:
    reason = cache.notes("bad").get(index, "cannot be decoded")
    return f"{task.source.key(index)}: {reason} (an earlier run skipped it)"


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


@contextmanager
def _progress(
    cache: ViewCache, network: Network, streams: Sequence[Stream], task: Task, ranks: Ranks, label: str
) -> Iterator[Callable[[float], None]]:
    """A bar of this rank's images on stderr, for the first rank alone: all ranks have equal shares."""
    if ranks.rank:
        yield lambda _: None
        return
    done = finished(cache, streams, task.indexes, network.crop) / ranks.size
    total = len(task.indexes) / ranks.size
    text = label if ranks.size == 1 else f"{label}, 1 of {ranks.size} ranks"
    count = done
    with tqdm(
        total=round(total), initial=round(done), desc=text, unit="img", mininterval=0.5, file=sys.stderr
    ) as bar:

        def advance(images: float) -> None:
            nonlocal count
            count += images
            bar.update(min(round(count), bar.total) - bar.n)

        yield advance
        bar.update(bar.total - bar.n)


def settings(
    plan: Plan, truth: Truth, task: Task, running: Running, ranks: Ranks, networks: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Everything that was chosen, ready for JSON."""
    return {
        "goals": {goal.name: [str(member) for member in goal.members] for goal in plan.goals},
        "networks": list(networks),
        "images": truth.source.name,
        "labels": truth.where,
        "class_order": truth.synsets.source if truth.synsets else None,
        "devkit_order": truth.devkit.source if truth.devkit else None,
        "reading": task.reading.facts(),
        "on_bad_image": task.on_bad,
        "running": {**asdict(running), "ranks": ranks.size},
        "versions": {name: version(name) for name in ("vggrepro", "numpy")},
    }
