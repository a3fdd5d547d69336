"""An evaluation from start to end, on a tiny network and images."""

import numpy as np
import pytest

from vggrepro.data.truth.ground_truth import open_truth
from vggrepro.evaluation.evaluate import evaluate
from vggrepro.evaluation.goals import EvaluationPlan, Goal
from vggrepro.evaluation.image_posteriors import image_posteriors
from vggrepro.evaluation.measuring.evaluated_net import load_classifier
from vggrepro.evaluation.measuring.pipeline import Execution, ImageSet
from vggrepro.evaluation.metrics import truth_ranks
from vggrepro.evaluation.protocols import Member
from vggrepro.system.ranks import Alone

MEAN = (104.5, 116.0, 123.25)
RUN = Execution(threads=1)


@pytest.fixture
def truth(images):
    return open_truth(images / "images", images / "val.txt")


def goal(protocol, scale):
    member = Member("one", protocol, (scale,), flip=False)
    return Goal(f"{protocol} {scale}", (member,))


def wrong(truth, network, goal):
    posteriors, _ = image_posteriors(ImageSet.whole(truth.source), goal.members, [network], RUN)
    ranks = truth_ranks(posteriors, truth.labels)
    return int((ranks >= 1).sum()), int((ranks >= 5).sum())


def test_every_goal_is_reported_and_the_best_in_detail(nets, truth):
    goals = [goal("centre", 8), goal("dense", 14), goal("centre", 12)]
    plan = EvaluationPlan(goals, nets[:1], MEAN)
    report = evaluate(plan, truth, ImageSet.whole(truth.source), RUN, Alone(), None)
    network = load_classifier(nets[0], MEAN)
    expected = {g.name: wrong(truth, network, g) for g in goals}
    assert {g.name: (o.errors.top1.wrong, o.errors.top5.wrong) for g, o in report.found} == expected
    assert len({top1 for top1, _ in expected.values()}) > 1  # so that one of them is the best
    assert report.results.whole.errors.top1.wrong == min(top1 for top1, _ in expected.values())
    assert report.goal.members == report.results.whole.members
    assert report.settings["networks"] == [
        {"name": "one", "parameters": network.parameters, **network.facts()}
    ]
    assert report.settings["running"]["ranks"] == 1
    assert set(report.keys) == {mistake.index for mistake in report.results.worst}


def test_images_that_cannot_be_decoded_are_counted_apart(nets, images, truth):
    (images / "images" / "val_003.png").write_bytes(b"not a picture")
    chosen = ImageSet(truth.source, np.arange(1, 23), on_bad="skip")
    report = evaluate(EvaluationPlan([goal("centre", 9)], nets[:1], MEAN), truth, chosen, RUN, Alone(), None)
    assert (report.counts.listed, report.counts.selected, report.results.images) == (23, 22, 21)
    assert list(report.counts.bad) == ["val_003.png"]
    assert report.counts.truncated == {}
