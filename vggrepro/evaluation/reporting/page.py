"""The report as one self-contained HTML page: no script, no file beside it, phone to desktop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import PurePath

from vggrepro.evaluation.metrics import ClassError, ErrorRate
from vggrepro.evaluation.reporting.html_table import html_row, html_table
from vggrepro.evaluation.reporting.html_text import html_text
from vggrepro.evaluation.reporting.number_text import interval, published, signed, with_interval
from vggrepro.evaluation.reporting.paired_sections import compared_section, sweep_section
from vggrepro.evaluation.reporting.plots import Point, error_plot
from vggrepro.evaluation.reporting.report import Report, differences
from vggrepro.evaluation.reporting.settings_section import settings_section
from vggrepro.evaluation.results import Mistake, Outcome
from vggrepro.paper.tables import TITLES, TableRow, table

Thumbnails = Mapping[int, str]
"""Data URIs of pictures, by the image's index."""

_WORST_CLASSES = 20


def page(report: Report, thumbnails: Thumbnails) -> str:
    """The page's HTML. Every name that comes from outside is escaped."""
    style = resources.files("vggrepro.evaluation.reporting").joinpath("page.css").read_text("utf-8")
    title = report.row.label if report.row else report.goal.name
    sections = [
        _headline(report, title),
        *(_paper_table(report, number) for number in report.tables),
        _replications(report),
        _comparison(report),
        compared_section(report.comparison),
        sweep_section(report.sweep),
        _classes(report),
        _confusions(report),
        _mistakes(report, thumbnails),
        settings_section(report.settings),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html_text(title)}: top-1 and top-5 error</title>\n<style>\n{style}</style></head>\n<body>\n"
        + "\n".join(section for section in sections if section)
        + "\n</body></html>\n"
    )


def _headline(report: Report, title: str) -> str:
    errors = report.results.whole.errors
    wanted = report.goal.expectation
    figures = [
        _figure("top-1 error", errors.top1, wanted.whose if wanted else "", wanted.top1 if wanted else None),
        _figure("top-5 error", errors.top5, wanted.whose if wanted else "", wanted.top5 if wanted else None),
    ]
    notices = report.remarks
    if len(report.found) > 1:
        notices.append(
            f"The best of {len(report.found)} combinations is told in detail; all are compared below."
        )
    paragraphs = "".join(f'<p class="notice">{html_text(text)}</p>' for text in notices)
    return (
        f"<h1>{html_text(title)}</h1>"
        f'<p class="faint">{html_text(report.results.whole.combination)}</p>'
        f'<p class="faint">{report.results.images} images of '
        f"{html_text(PurePath(report.counts.source).name)}."
        " Errors are in percent; intervals are 95% (Wilson).</p>"
        f'<div class="headline">{"".join(figures)}</div>{paragraphs}'
    )


def _figure(name: str, rate: ErrorRate, whose: str, wanted: float | None) -> str:
    low, high = rate.interval
    beside = ""
    if wanted is not None:
        beside = f"<br>{html_text(whose)} {published(wanted)}, difference {signed(rate.less(wanted))}"
    return (
        f'<div class="figure">{name}<b>{rate.percent:.2f}%</b>'
        f'<span class="faint">95%: {low:.2f} to {high:.2f}{beside}</span></div>'
    )


def _paper_table(report: Report, number: int) -> str:
    """The paper's table, with our column beside the rows that this run measured. Tables 6 and 7 also have
    errors on the test images, whose labels are not public."""
    lines = table(number)
    tested = any(line.test_top5 is not None for line in lines)
    heads = [
        "top-1 / top-5 error",
        "#paper",
        *(["#paper, test top-5"] if tested else []),
        "#ours",
        "#difference",
    ]
    measured = {goal.row: outcome for goal, outcome in report.found if goal.row is not None}
    rows = [_paper_row(line, measured.get(line), tested=tested) for line in lines]
    notes = dict.fromkeys(line.note for line in lines if line.note and line in measured)
    below = "".join(f'<p class="faint">{html_text(note)}</p>' for note in notes)
    return f"<h2>Table {number}. {html_text(TITLES[number])}</h2>{html_table(heads, rows)}{below}"


def _paper_row(line: TableRow, outcome: Outcome | None, *, tested: bool) -> str:
    cells = [html_text(line.label), f"{published(line.top1)} / {published(line.top5)}"]
    if tested:
        cells.append(published(line.test_top5))
    if outcome is None:
        return html_row([*cells, "", ""], len(cells) + 1)
    found = outcome.errors
    ours = (
        f"{found.top1.percent:.2f} / {found.top5.percent:.2f}"
        f'<br><span class="faint">{interval(found.top1)}<br>{interval(found.top5)}</span>'
    )
    return html_row([*cells, ours, differences(found, line.top1, line.top5)], len(cells) + 1, ours=True)


def _replications(report: Report) -> str:
    if not report.replications:
        return ""
    heads = ["who", "of", "#top-1 / top-5", "#our difference"]
    rows = [
        html_row(
            [
                f'{html_text(r.source)}<br><span class="faint">{html_text(r.what)}</span>',
                html_text(goal.name),
                f"{published(r.top1)} / {published(r.top5)}",
                differences(outcome.errors, r.top1, r.top5),
            ],
            2,
        )
        for goal, outcome, r in report.replications
    ]
    return f"<h2>Published replications</h2>{html_table(heads, rows)}"


def _comparison(report: Report) -> str:
    compared = report.compared
    if len(compared) == 1:
        return ""
    wanted = {outcome.members: goal.expectation for goal, outcome in report.found}
    plots = []
    for name, kind in (("top-1", "top1"), ("top-5", "top5")):
        points = [
            Point(label, getattr(outcome.errors, kind), getattr(wanted.get(outcome.members), kind, None))
            for label, outcome in compared
        ]
        title = f"{name} error in percent"
        plots.append(f"<div><h3>{title}</h3>{error_plot(title, kind, points)}</div>")
    heads = ["what", "#top-1", "#top-5"]
    rows = [
        html_row([html_text(label), with_interval(o.errors.top1), with_interval(o.errors.top5)], 2)
        for label, o in compared
    ]
    dashes = " Dashed strokes are the expected errors." if any(wanted.values()) else ""
    return (
        "<h2>Scales, protocols and networks compared</h2>"
        f'<p class="faint">The same views, averaged differently, with 95%'
        f" intervals.{dashes}</p>"
        f'<div class="plots">{"".join(plots)}</div>'
        f"<details><summary>The same as a table</summary>{html_table(heads, rows)}</details>"
    )


def _classes(report: Report) -> str:
    ordered = sorted(report.results.classes, key=lambda c: (-c.errors.top1.percent, c.label))
    perfect = sum(c.errors.top1.wrong == 0 for c in ordered)
    everything = ""
    if len(ordered) > _WORST_CLASSES:
        everything = (
            f"<details><summary>All {len(ordered)} classes</summary>{_class_table(report, ordered)}</details>"
        )
    return (
        "<h2>Error per class</h2>"
        f"<p>{perfect} of {len(ordered)} classes have no top-1 error. The hardest:</p>"
        f"{_class_table(report, ordered[:_WORST_CLASSES])}{everything}"
    )


def _class_table(report: Report, classes: Sequence[ClassError]) -> str:
    """Bars are as long as the largest error allows."""
    heads = ["class", "", "#images", "#top-1", "#top-5"]
    largest = max(c.errors.top1.percent for c in classes) or 1.0
    rows = [
        html_row(
            [
                _class(report, c.label),
                _bar(c.errors.top1.percent / largest),
                str(c.errors.top1.total),
                f"{c.errors.top1.percent:.1f}",
                f"{c.errors.top5.percent:.1f}",
            ],
            3,
        )
        for c in classes
    ]
    return html_table(heads, rows)


def _bar(part: float) -> str:
    return f'<span class="track"><span class="bar" style="width:{100 * part:.1f}%"></span></span>'


def _class(report: Report, label: int) -> str:
    """Its words, and its WNID less loud."""
    words, wnid = report.words(label)
    return f'{html_text(words)} <span class="faint">{html_text(wnid)}</span>' if wnid else html_text(words)


def _short(report: Report, label: int) -> str:
    """The first of its words: for pictures, where there is little room."""
    return html_text(report.words(label)[0].split(",")[0])


def _confusions(report: Report) -> str:
    repeated = [c for c in report.results.confusions if c.count > 1]
    if not repeated:
        return ""
    rows = [
        html_row(
            [
                _class(report, c.truth),
                _class(report, c.guess),
                f"{c.count} of {c.total}",
                f"{100 * c.count / c.total:.0f}%",
            ],
            2,
        )
        for c in repeated
    ]
    heads = ["truth", "taken for", "#images", "#share"]
    return f"<h2>Most frequent confusions</h2>{html_table(heads, rows)}"


def _mistakes(report: Report, thumbnails: Thumbnails) -> str:
    if not report.results.worst:
        return ""
    cards = "".join(
        _mistake(report, mistake, thumbnails.get(mistake.index)) for mistake in report.results.worst
    )
    return (
        "<h2>Most confident mistakes</h2>"
        '<p class="faint">The images whose best guess is furthest above the truth, with the five guesses.</p>'
        f'<div class="mistakes">{cards}</div>'
    )


def _mistake(report: Report, mistake: Mistake, picture: str | None) -> str:
    key = report.keys[mistake.index]
    image = f'<img alt="{html_text(key)}" src="{html_text(picture)}" loading="lazy">' if picture else ""
    guesses = "".join(_guess(report, label, p, label == mistake.truth) for label, p in mistake.guesses)
    return (
        f'<div class="mistake">{image}<div><span class="faint">{_breakable(key)}</span><br>'
        f'<span class="truth">{_short(report, mistake.truth)}</span>'
        f" {100 * mistake.truth_probability:.1f}%<ol>{guesses}</ol></div></div>"
    )


def _breakable(key: str) -> str:
    """A file's name that a narrow column may break behind its parts."""
    return html_text(key).replace("_", "_<wbr>").replace("/", "/<wbr>")


def _guess(report: Report, label: int, probability: float, right: bool) -> str:
    mark = ' class="truth"' if right else ""
    return f"<li{mark}>{_short(report, label)} {100 * probability:.1f}%</li>"
