"""A made-up evaluation of the paper's Table 5, to report on."""

import base64

import cv2
import numpy as np

from vggrepro.evaluation.goals import row_goals
from vggrepro.evaluation.metrics import ClassError, Confusion, ErrorRate, TopErrors
from vggrepro.evaluation.protocols import BEFORE, parts
from vggrepro.evaluation.reporting.page import page
from vggrepro.evaluation.reporting.report import Counts, Report
from vggrepro.evaluation.results import Mistake, Outcome, Results
from vggrepro.paper.tables import table

CLASSES = 40
NAMES = [f"n{label:08} class {label}, <b>also & so</b> on" for label in range(CLASSES)]


def errors(top1, top5, total=50_000):
    return TopErrors(ErrorRate(round(total * top1 / 100), total), ErrorRate(round(total * top5 / 100), total))


def make_report():
    goals = row_goals(table(5), BEFORE)
    found = [(g, Outcome(g.members, errors(g.row.top1 + 0.1, g.row.top5 - 0.04))) for g in goals]
    goal, whole = found[5]
    mistakes = [
        Mistake(i, i % CLASSES, 0.01, tuple((label, 0.5 / (label + 1)) for label in range(5)))
        for i in range(8)
    ]
    results = Results(
        images=50_000,
        whole=whole,
        parts=tuple(Outcome(p, errors(25 + n / 10, 8 - n / 20)) for n, p in enumerate(parts(goal.members))),
        classes=tuple(ClassError(label, errors(label * 2, label, 50)) for label in range(CLASSES)),
        confusions=(Confusion(1, 2, 17, 50), Confusion(3, 4, 9, 50)),
        worst=tuple(mistakes),
        best=np.zeros((0, 5), np.int64),
        probabilities=np.zeros((0, 5)),
        ranks=np.zeros(0, np.int64),
    )
    counts = Counts(
        "ILSVRC2012_img_val.tar", 50_000, 0, 50_000, {"a.JPEG": "no image"}, {"b.JPEG": "ends early"}
    )
    keys = {m.index: f"ILSVRC2012_val_{m.index + 1:08}.JPEG" for m in mistakes}
    return Report(goal, results, found, counts, NAMES, keys, {"networks": [{"name": "</pre><script>"}]}, 12.5)


def make_page():
    picture = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    data = base64.b64encode(cv2.imencode(".png", picture)[1].tobytes()).decode()
    report = make_report()
    uri = f"data:image/png;base64,{data}"
    return page(report, {m.index: uri for m in report.results.worst})
