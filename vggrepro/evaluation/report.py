"""An evaluation as JSON, with every setting, and as Markdown beside the paper's number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from vggrepro.evaluation.metrics import Errors, Rate
from vggrepro.evaluation.replications import Replication, beside
from vggrepro.evaluation.results import Outcome, Results
from vggrepro.evaluation.tables import Row

FORMAT = 1


@dataclass(frozen=True)
class Counts:
    """Which images were counted. ``bad`` and ``truncated`` map image names to reasons: bad ones count in no
    error, truncated ones do, decoded as Caffe decodes them."""

    source: str
    listed: int
    blacklisted: int
    selected: int
    bad: Mapping[str, str]
    truncated: Mapping[str, str]


@dataclass(frozen=True)
class Report:
    """All that is told of one evaluation. ``names`` are the classes' WNIDs and words, by label; ``keys`` the
    images' names by index, for the worst mistakes; ``settings`` is ready for JSON."""

    results: Results
    row: Row | None
    counts: Counts
    names: Sequence[str]
    keys: Mapping[int, str]
    settings: Mapping[str, Any]
    seconds: float = 0.0
    notices: Sequence[str] = field(default_factory=tuple)

    @property
    def replications(self) -> tuple[Replication, ...]:
        return beside(self.row.tested) if self.row else ()

    def name(self, label: int) -> str:
        """A class in words; its number alone where the names are not known."""
        return self.names[label] if label < len(self.names) else f"class {label}"


def difference(measured: Rate, published: float | None) -> float | None:
    """Measured minus published error, in percentage points."""
    return None if published is None else measured.percent - published


def agrees(found: Errors, top1: float | None, top5: float | None, tolerance: float) -> bool:
    """Whether both errors are within ``tolerance`` percentage points of the expected ones; an error of which
    nothing is expected agrees. A thousandth of a point is forgiven to decimal fractions."""
    differences = (difference(found.top1, top1), difference(found.top5, top5))
    return all(d is None or abs(d) <= tolerance + 1e-9 for d in differences)


def to_json(report: Report) -> dict[str, Any]:
    """The whole report as JSON data. Errors are in percent."""
    results = report.results
    return {
        "format": FORMAT,
        **outcome_json(results.whole),
        "images": {**asdict(report.counts), "evaluated": results.images},
        "paper": _paper_json(report),
        "replications": [asdict(r) for r in report.replications],
        "parts": [outcome_json(part) for part in results.parts],
        "classes": [
            {"label": c.label, "name": report.name(c.label), **errors_json(c.errors)} for c in results.classes
        ],
        "confusions": [
            {**asdict(c), "truth_name": report.name(c.truth), "guess_name": report.name(c.guess)}
            for c in results.confusions
        ],
        "worst": [
            {"image": report.keys[m.index], **asdict(m), "truth_name": report.name(m.truth)}
            for m in results.worst
        ],
        "notices": list(report.notices),
        "settings": dict(report.settings),
        "seconds": round(report.seconds, 3),
    }


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "what": outcome.label,
        "members": [asdict(member) for member in outcome.members],
        **errors_json(outcome.errors),
    }


def errors_json(errors: Errors) -> dict[str, Any]:
    found: dict[str, Any] = {"images_counted": errors.top1.total}
    for name, rate in (("top1", errors.top1), ("top5", errors.top5)):
        found[f"{name}_wrong"] = rate.wrong
        found[f"{name}_error_percent"] = rate.percent
        found[f"{name}_interval_95_percent"] = list(rate.interval)
    return found


def _paper_json(report: Report) -> dict[str, Any] | None:
    row = report.row
    if row is None:
        return None
    errors = report.results.whole.errors
    return {
        "table": row.table,
        "row": row.key,
        "label": row.label,
        "note": row.note,
        "top1_error_percent": row.top1,
        "top5_error_percent": row.top5,
        "test_top5_error_percent": row.test_top5,
        "top1_difference": difference(errors.top1, row.top1),
        "top5_difference": difference(errors.top5, row.top5),
    }


def with_interval(rate: Rate) -> str:
    """ "25.61 (25.2-26.0)": the error in percent and its 95% interval."""
    low, high = rate.interval
    return f"{rate.percent:.2f} ({low:.2f}-{high:.2f})"


def published(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}"


def to_markdown(report: Report) -> str:
    """The result beside the paper's and the replications', then its parts."""
    errors = report.results.whole.errors
    lines = [
        f"{report.results.whole.label}",
        "",
        f"{report.results.images} images; errors in percent, with 95% confidence intervals",
        "",
        "| | top-1 | top-5 | difference |",
        "|---|---|---|---|",
        f"| this run | {with_interval(errors.top1)} | {with_interval(errors.top5)} | |",
        *_paper_lines(report),
        *(
            f"| {r.source}, {r.weights} weights, {r.protocol} {r.detail}".rstrip()
            + f" | {published(r.top1)} | {published(r.top5)} | {_differences(errors, r.top1, r.top5)} |"
            for r in report.replications
        ),
    ]
    if report.results.parts:
        lines += ["", "| part | top-1 | top-5 |", "|---|---|---|"]
        lines += [
            f"| {p.label} | {with_interval(p.errors.top1)} | {with_interval(p.errors.top5)} |"
            for p in report.results.parts
        ]
    lines += ["", *(f"- {text}" for text in [*report.notices, *image_notices(report.counts)])]
    return "\n".join(lines).rstrip() + "\n"


def _paper_lines(report: Report) -> list[str]:
    row = report.row
    if row is None:
        return []
    differences = _differences(report.results.whole.errors, row.top1, row.top5)
    label = f"paper, table {row.table}: {row.label}" + (f" ({row.note})" if row.note else "")
    return [f"| {label} | {published(row.top1)} | {published(row.top5)} | {differences} |"]


def _differences(errors: Errors, top1: float | None, top5: float | None) -> str:
    return f"{signed(difference(errors.top1, top1))} / {signed(difference(errors.top5, top5))}"


def image_notices(counts: Counts) -> list[str]:
    """What a reader must know about the images, in sentences; nothing where all is as usual."""
    found = []
    if counts.selected != counts.listed - counts.blacklisted:
        found.append(f"a sample: {counts.selected} of {counts.listed - counts.blacklisted} images")
    if counts.blacklisted:
        found.append(f"{counts.blacklisted} blacklisted images are left out")
    if counts.bad:
        found.append(
            f"{len(counts.bad)} images could not be decoded and count in no error: {_some(counts.bad)}"
        )
    if counts.truncated:
        found.append(
            f"{len(counts.truncated)} files end early and were decoded as far: {_some(counts.truncated)}"
        )
    return found


def _some(names: Mapping[str, str], most: int = 5) -> str:
    shown = ", ".join(list(names)[:most])
    return shown if len(names) <= most else f"{shown}, ..."


def table_lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns padded to their widest cell, for a terminal."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
