import json
from pathlib import Path

import numpy as np
import pytest

from vggrepro.errors import ProtocolError
from vggrepro.evaluation.metrics import ErrorRate, confusions, guesses, per_class, top_errors, truth_ranks

GOLDEN = Path(__file__).parents[1] / "golden" / "layers"


def test_a_class_that_ties_with_the_truth_counts_as_better():
    posteriors = np.array([[0.5, 0.5, 0.0], [0.2, 0.5, 0.3], [1 / 3, 1 / 3, 1 / 3]])
    ranks = truth_ranks(posteriors, np.array([0, 1, 2]))
    assert ranks.tolist() == [1, 0, 2]


@pytest.mark.parametrize("case", ["accuracy", "accuracy_ties", "accuracy_topk"])
def test_the_accuracy_is_that_of_caffes_layer(case):
    stored = np.load(GOLDEN / case / "io.npz")
    facts = json.loads((GOLDEN / case / "case.json").read_text())
    inputs = [stored[key] for key in stored if key.startswith("in:")]
    scores = next(a for a in inputs if a.ndim == 2 and a.shape[1] > 1)
    labels = next(a for a in inputs if a is not scores).reshape(-1).astype(np.int64)
    accuracy = float(stored[next(key for key in stored if key.startswith("out:"))].reshape(-1)[0])
    text = (GOLDEN / case / "net.prototxt").read_text()
    k = int(text.split("top_k:")[1].split()[0]) if "top_k:" in text else 1
    assert facts["layer_types"] == ["Accuracy"]
    assert np.mean(truth_ranks(scores, labels) < k) == pytest.approx(accuracy, abs=1e-6)


def test_top_five_counts_the_truth_in_place_four_and_not_in_place_five():
    posteriors = np.tile(np.arange(8, 0, -1) / 36, (2, 1))
    found = top_errors(truth_ranks(posteriors, np.array([4, 5])))
    assert (found.top1.wrong, found.top5.wrong, found.top5.total) == (2, 1, 2)


def test_the_interval_is_wilsons():
    # 8 of 100: R, binom.confint(8, 100, methods = "wilson") gives 0.04109 to 0.14998.
    low, high = ErrorRate(8, 100).interval
    assert (low, high) == (pytest.approx(4.109, abs=0.002), pytest.approx(14.998, abs=0.002))


def test_the_interval_of_no_error_is_not_a_point():
    low, high = ErrorRate(0, 50).interval
    assert low == 0.0
    assert high == pytest.approx(100 * 1.95996**2 / (50 + 1.95996**2), abs=1e-3)


def test_labels_outside_the_network_raise():
    with pytest.raises(ProtocolError, match="labels run from 0 to 3, expected 0 to 2"):
        truth_ranks(np.zeros((2, 3)), np.array([0, 3]))


def test_posteriors_that_are_not_numbers_raise():
    with pytest.raises(ProtocolError, match="posterior number 1 is not finite"):
        truth_ranks(np.array([[0.1, 0.9], [np.nan, 0.5]]), np.array([0, 0]))


def test_guesses_put_the_smaller_class_first_among_equals():
    assert guesses(np.array([[0.2, 0.3, 0.3, 0.2]]), 3).tolist() == [[1, 2, 0]]


def test_errors_per_class_and_confusions():
    labels = np.array([0, 0, 0, 2, 2])
    ranks = np.array([0, 1, 6, 0, 0])
    found = per_class(ranks, labels)
    assert [(c.label, c.errors.top1.wrong, c.errors.top5.wrong, c.errors.top1.total) for c in found] == [
        (0, 2, 1, 3),
        (2, 0, 0, 2),
    ]
    pairs = confusions(np.array([0, 1, 1, 2, 1]), labels, 5)
    assert [(c.truth, c.guess, c.count, c.total) for c in pairs] == [(0, 1, 2, 3), (2, 1, 1, 2)]


def test_no_confusion_without_mistakes():
    assert confusions(np.array([1, 2]), np.array([1, 2]), 5) == []
