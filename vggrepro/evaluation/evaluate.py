"""One evaluation from start to end: measure what is missing, average, compare, report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from vggrepro.data.opencv import opencv
from vggrepro.data.truth.ground_truth import Truth
from vggrepro.errors import ProtocolError
from vggrepro.evaluation.goals import EvaluationPlan
from vggrepro.evaluation.measuring.measurement import Measurement, measure
from vggrepro.evaluation.measuring.pipeline import Execution, ImageSet
from vggrepro.evaluation.predictions import Predictions
from vggrepro.evaluation.reporting.report import Counts, Report
from vggrepro.evaluation.results import collect_answers, collect_ranks, collect_results
from vggrepro.evaluation.sweep import sweep
from vggrepro.system.ranks import Ranks


def evaluate(
    plan: EvaluationPlan,
    truth: Truth,
    images: ImageSet,
    execution: Execution,
    ranks: Ranks,
    folder: Path | None,
) -> Report | None:
    """Measure what the view cache in ``folder`` lacks (None: a temporary one), and report on every goal of
    the plan, on the one with the fewest top-1 errors in detail. Every rank calls this; the first gets the
    report, the others None.

    Raises DataError, NetError, WeightsError, DeviceError or ProtocolError for what cannot be evaluated.
    """
    with measure(plan, images, execution, ranks, folder, truth.check) as measured:
        if ranks.rank:
            return None
        settings = _settings(plan, truth, images, execution, ranks, measured.networks)
        return _report(plan, truth, images, measured, settings)


def _report(
    plan: EvaluationPlan, truth: Truth, images: ImageSet, measured: Measurement, settings: Mapping[str, Any]
) -> Report:
    cache, indexes, labels = measured.cache, measured.indexes, truth.labels[measured.indexes]
    results = [collect_results(cache, goal.members, indexes, labels) for goal in plan.goals]
    best = min(range(len(results)), key=lambda i: results[i].whole.errors.top1.wrong)
    detailed = results[best]
    ranks_of = {goal.name: found.ranks for goal, found in zip(plan.goals, results, strict=True)}
    diagnosis = truth.diagnosis(detailed.best, indexes, measured.classes)
    return Report(
        goal=plan.goals[best],
        results=detailed,
        found=[(goal, r.whole) for goal, r in zip(plan.goals, results, strict=True)],
        counts=_counts(truth, images, measured),
        names=truth.names,
        keys={m.index: truth.source.key(m.index) for m in detailed.worst},
        settings=settings,
        seconds=measured.seconds,
        notices=[*([diagnosis] if diagnosis else []), *truth.notices],
        predictions=Predictions(
            keys=[truth.source.key(int(index)) for index in indexes],
            labels=labels,
            ranks=detailed.ranks,
            classes=detailed.best,
            probabilities=detailed.probabilities,
            name=plan.goals[best].name,
            combinations=ranks_of,
        ),
        sweep=sweep(
            plan.readings,
            plan.goals,
            ranks_of,
            lambda members: collect_ranks(cache, members, indexes, labels),
        ),
    )


def predict(
    plan: EvaluationPlan,
    truth: Truth,
    images: ImageSet,
    execution: Execution,
    ranks: Ranks,
    folder: Path | None,
) -> Predictions | None:
    """The answers of the plan's only goal for images whose classes are not known; otherwise as
    :func:`evaluate`, which raises the same. Raises ProtocolError for several goals."""
    if len(plan.goals) != 1:
        raise ProtocolError(
            f"--no-labels: {len(plan.goals)} combinations, none of which is known to be best; expected one"
        )
    with measure(plan, images, execution, ranks, folder, truth.check) as measured:
        if ranks.rank:
            return None
        classes, probabilities = collect_answers(measured.cache, plan.goals[0].members, measured.indexes)
        unknown = np.full(len(classes), -1)
        keys = [truth.source.key(int(index)) for index in measured.indexes]
        return Predictions(keys, unknown, unknown, classes, probabilities)


def _counts(truth: Truth, images: ImageSet, measured: Measurement) -> Counts:
    chosen = {int(index) for index in images.indexes}

    def notes(kind: str) -> dict[str, str]:
        noted = measured.cache.notes(kind)
        return {truth.source.key(index): reason for index, reason in noted.items() if index in chosen}

    return Counts(
        source=truth.source.name,
        listed=len(truth.source),
        blacklisted=len(truth.left_out),
        selected=len(images.indexes),
        bad=notes("bad"),
        truncated=notes("truncated"),
        squashed=images.squashed_notice,
    )


def _settings(
    plan: EvaluationPlan,
    truth: Truth,
    images: ImageSet,
    execution: Execution,
    ranks: Ranks,
    networks: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """Everything that was chosen for the run, ready for JSON."""
    return {
        "goals": {goal.name: [str(member) for member in goal.members] for goal in plan.goals},
        "net_files": plan.net_facts(),
        "networks": list(networks),
        "images": truth.source.name,
        "labels": truth.where,
        "class_order": truth.synsets.source if truth.synsets else None,
        "devkit_order": truth.devkit.source if truth.devkit else None,
        "reading": images.reading.facts(),
        "on_bad_image": images.on_bad,
        "running": {**asdict(execution), "ranks": ranks.size},
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    names = ("vggrepro", "numpy", "onnxruntime-gpu", "onnxruntime")
    found = {}
    for name in names:
        with suppress(PackageNotFoundError):  # there is one package of ONNX Runtime
            found[name] = version(name)
    return {**found, "opencv": str(opencv().__version__)}
