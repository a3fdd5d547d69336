"""One evaluation from start to end: measure what is missing, average, compare, report."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from vggrepro.data.opencv import opencv
from vggrepro.data.truth.ground_truth import Truth
from vggrepro.evaluation.goals import Plan
from vggrepro.evaluation.measuring.measured import Measured, measured
from vggrepro.evaluation.measuring.pipeline import Running, Task
from vggrepro.evaluation.reporting.report import Counts, Report
from vggrepro.evaluation.results import collect
from vggrepro.system.ranks import Ranks


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
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    names = ("vggrepro", "numpy", "onnxruntime-gpu", "onnxruntime")
    found = {}
    for name in names:
        with suppress(PackageNotFoundError):  # there is one package of ONNX Runtime
            found[name] = version(name)
    return {**found, "opencv": str(opencv().__version__)}
