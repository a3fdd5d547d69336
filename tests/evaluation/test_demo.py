"""The embedded miniature of ILSVRC, against what real Caffe answered on it."""

import numpy as np
import pytest

from vggrepro.evaluation import demo
from vggrepro.evaluation.goals import EvaluationPlan
from vggrepro.evaluation.measuring.measurement import measure
from vggrepro.evaluation.measuring.pipeline import Execution, ImageSet
from vggrepro.evaluation.protocols import fuse, stream_shares, view_means
from vggrepro.evaluation.results import collect_results
from vggrepro.system.ranks import Alone


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """All of Caffe's protocols measured once, in a view cache."""
    goals, truth = demo.caffe_goals(), demo.truth()
    plan = EvaluationPlan(goals, [demo.FILES], demo.mean_bgr())
    folder = tmp_path_factory.mktemp("demo")
    with measure(
        plan, ImageSet.whole(truth.source), Execution(batch=32), Alone(), folder, truth.check
    ) as found:
        yield found, truth


@pytest.mark.parametrize("goal", demo.caffe_goals(), ids=lambda goal: goal.name)
def test_a_protocol_equals_caffes(run, goal):
    found, truth = run
    results = collect_results(found.cache, goal.members, found.indexes, truth.labels)
    errors = results.whole.errors
    assert (errors.top1.percent, errors.top5.percent) == (
        pytest.approx(goal.expectation.top1, abs=1e-9),
        pytest.approx(goal.expectation.top5, abs=1e-9),
    )


@pytest.mark.parametrize("goal", demo.caffe_goals(), ids=lambda goal: goal.name)
def test_posteriors_equal_caffes(run, goal):
    found, _ = run
    shares = stream_shares(goal.members)
    means = {stream: view_means(found.cache.open(stream).read(found.indexes)) for stream in shares}
    assert np.abs(fuse(means, shares) - demo.expected_posteriors()[goal.name]).max() < 1e-4
