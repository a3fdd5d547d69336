"""Labels in a wrong order of the classes, recognised by a network's answers."""

import numpy as np
from numpy.testing import assert_array_equal

from vggrepro.data.truth.label_order import accuracy, consistency, diagnose, label_orders
from vggrepro.data.truth.labels import Synsets

CLASSES = 100
WNIDS = tuple(f"n{i:08d}" for i in range(CLASSES))
SYNSETS = Synsets(WNIDS, ("",) * CLASSES, "synset_words.txt")


def devkit_order(seed: int = 0) -> Synsets:
    order = np.random.default_rng(seed).permutation(CLASSES)
    return Synsets(tuple(WNIDS[i] for i in order), ("",) * CLASSES, "meta.mat")


def answers(truth: np.ndarray, accuracy: float, seed: int = 1) -> np.ndarray:
    """Five guesses for each image, of which the first is right with a probability."""
    rng = np.random.default_rng(seed)
    guesses = np.stack([rng.choice(CLASSES, 5, replace=False) for _ in truth])
    right = rng.random(len(truth)) < accuracy
    guesses[right, 0] = truth[right]
    return guesses


TRUTH = np.random.default_rng(2).permutation(np.repeat(np.arange(CLASSES), 20))
GUESSES = answers(TRUTH, 0.7)


def test_right_labels_need_no_diagnosis():
    assert diagnose(GUESSES, TRUTH, label_orders(TRUTH, SYNSETS, devkit_order()), CLASSES) is None


def test_devkit_ids_taken_for_caffes_labels_are_diagnosed():
    devkit = devkit_order()
    ids = devkit.labels_of([WNIDS[i] for i in TRUTH], "") + 1
    for wrong in (ids, ids - 1):  # as they are, or less one
        orders = label_orders(wrong, SYNSETS, devkit)
        message = diagnose(GUESSES, wrong, orders, CLASSES)
        assert message is not None
        assert "with the labels read as ILSVRC2012_ID of meta.mat" in message
        best = max(orders.values(), key=lambda labels: accuracy(GUESSES, labels))
        assert_array_equal(best, TRUTH)


def test_caffes_labels_taken_for_devkit_ids_are_diagnosed():
    devkit = devkit_order()
    wrong = SYNSETS.labels_of([devkit.wnids[i] for i in TRUTH], "")  # label + 1 looked up as an id
    message = diagnose(GUESSES, wrong, label_orders(wrong, SYNSETS, devkit), CLASSES)
    assert message is not None
    assert "read as places among sorted WNIDs, not ILSVRC2012_ID" in message


def test_labels_one_too_high_are_diagnosed():
    wrong = TRUTH[TRUTH < CLASSES - 1] + 1
    message = diagnose(GUESSES[TRUTH < CLASSES - 1], wrong, label_orders(wrong, SYNSETS, None), CLASSES)
    assert message is not None
    assert "from 1" in message


def test_unknown_order_shows_in_the_answers_alone():
    shuffled = np.random.default_rng(9).permutation(CLASSES)[TRUTH]
    assert consistency(GUESSES, shuffled) > 0.65
    message = diagnose(GUESSES, shuffled, label_orders(shuffled, SYNSETS, None), CLASSES)
    assert message is not None
    assert "number the classes otherwise than the network" in message


def test_network_that_knows_nothing_is_not_excused():
    blind = answers(TRUTH, 0.0)
    message = diagnose(blind, TRUTH, label_orders(TRUTH, SYNSETS, devkit_order()), CLASSES)
    assert message is not None
    assert "look at the network, mean and images" in message
    constant = np.tile(np.arange(5), (len(TRUTH), 1))
    assert consistency(constant, TRUTH) <= 0.02
