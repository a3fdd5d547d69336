"""Telling, from a network's answers, whether labels are in the order of its outputs.

A wrong order of classes gives the accuracy of guessing and no error. If that happens, the labels
are read in every other order known, and if none fits, the answers themselves still show whether
the classes are merely numbered otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vggrepro.data.arrays import Ints
from vggrepro.data.truth.labels import Synsets

_TIMES_CHANCE = 5
"""Labels are suspected where the accuracy is below so many times that of guessing, and below
_CLEARLY_BETTER."""
_CLEARLY_BETTER = 0.5
"""Another order of the classes fits if its accuracy is at least this."""
_PER_CLASS = 10
"""Images that a class must have, on average, before its most frequent answer counts."""


def label_orders(labels: Ints, synsets: Synsets, devkit: Synsets | None) -> dict[str, Ints]:
    """The other readings of labels that were taken as places in ``synsets``, from 0.

    A reading is left out where it does not apply: labels outside its range, classes it lacks.
    """
    orders: dict[str, Ints] = {}
    if not synsets.distinct:
        return orders
    in_order = Synsets(tuple(sorted(synsets.wnids)), (), synsets.source)
    readings = {"sorted WNIDs, from 0": (in_order, labels), "sorted WNIDs, from 1": (in_order, labels - 1)}
    readings[f"the order of {synsets.source}, from 1"] = (synsets, labels - 1)
    if devkit is not None:
        readings[f"ILSVRC2012_ID of {devkit.source}, from 1"] = (devkit, labels - 1)
        readings[f"ILSVRC2012_ID of {devkit.source}, less 1"] = (devkit, labels)
        # Sorted WNIDs from 0 or 1 that were taken for the devkit's ids are turned back.
        known = set(devkit.wnids)
        if known >= set(synsets.wnids) and labels.min() >= 0 and labels.max() < len(synsets):
            ids = devkit.labels_of([synsets.wnids[i] for i in labels], devkit.source)
            readings["places among sorted WNIDs, not ILSVRC2012_ID"] = (in_order, ids)
    for name, (order, places) in readings.items():
        if places.min() < 0 or places.max() >= len(order) or not set(order.wnids) <= set(synsets.wnids):
            continue
        reading = synsets.labels_of([order.wnids[i] for i in places], synsets.source)
        if not np.array_equal(reading, labels):
            orders[name] = reading
    return orders


def accuracy(guesses: Ints, labels: Ints) -> float:
    """The share of images whose first guess is their label. ``guesses`` (N, K) are the K outputs with the
    highest scores, best first; ``labels`` (N,)."""
    return float((guesses[:, 0] == labels).mean())


def diagnose(guesses: Ints, labels: Ints, orders: Mapping[str, Ints], classes: int) -> str | None:
    """What is wrong, in one sentence, if the accuracy is near that of guessing; None if it is not.

    ``guesses`` (N, K) and ``labels`` (N,) are as for :func:`accuracy`, ``orders`` other readings of the
    labels (:func:`label_orders`).
    """
    found = accuracy(guesses, labels)
    if found >= min(_TIMES_CHANCE / classes, _CLEARLY_BETTER):
        return None
    symptom = f"top-1 accuracy {found:.2%}, where guessing among {classes} classes gives {1 / classes:.2%}"
    fits = {name: accuracy(guesses, reading) for name, reading in orders.items()}
    best = max(fits, key=lambda name: fits[name], default=None)
    if best is not None and fits[best] >= _CLEARLY_BETTER:
        return f"{symptom}; with the labels read as {best} it is {fits[best]:.2%}: use that order"
    share = consistency(guesses, labels)
    if len(labels) >= _PER_CLASS * len(np.unique(labels)) and share >= _CLEARLY_BETTER:
        return (
            f"{symptom}, yet {share:.2%} of the images get the answer that is usual for their class:"
            " the labels number the classes otherwise than the network, and in no order known here"
        )
    if found < 2 / classes:
        return f"{symptom}, and no known order of the classes is better: look at the network, mean and images"
    return None


def consistency(guesses: Ints, labels: Ints) -> float:
    """The share of images that get the most frequent first answer of their class, whatever it is.

    Answers are given out to classes one to one, the most frequent pair first, so that a network
    which always says the same is not taken for one that knows.
    """
    pairs, counts = np.unique(np.stack([labels, guesses[:, 0]]), axis=1, return_counts=True)
    taken_labels, taken_answers, hits = set(), set(), 0
    for place in np.argsort(-counts, kind="stable"):
        label, answer = pairs[:, place]
        if label not in taken_labels and answer not in taken_answers:
            taken_labels.add(label)
            taken_answers.add(answer)
            hits += int(counts[place])
    return hits / len(labels)
