"""Telling, from a network's answers, whether labels are in the order of its outputs.

A wrong order of classes gives the accuracy of guessing and no error. If that happens, the labels
and the network's outputs are read in every other order known, and if none fits, the answers
themselves still show whether the classes are merely numbered otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

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
    """The other readings of labels that were taken as places in ``synsets``, from 0, by name.

    Either the labels number the classes in another order than ``synsets``, or the network's outputs do. A
    reading is left out where it does not apply: labels outside its range, classes it lacks. Readings that
    come to the same have one name.
    """
    orders: dict[str, Ints] = {}
    if not synsets.distinct:
        return orders
    named = {
        f"the labels read as {n}": _moved(p, o, synsets) for n, o, p in _readings(labels, synsets, devkit)
    }
    for name, order in _orders(synsets, devkit).items():
        named[f"the network's outputs read as {name}"] = _moved(labels, synsets, order)
    for name, reading in named.items():
        if reading is None or np.array_equal(reading, labels):
            continue
        same = next((known for known, found in orders.items() if np.array_equal(found, reading)), None)
        if same is not None:
            orders[f"{same}, or {name},"] = orders.pop(same)
        else:
            orders[name] = reading
    return orders


def _readings(labels: Ints, synsets: Synsets, devkit: Synsets | None) -> Iterator[tuple[str, Synsets, Ints]]:
    """What the labels may be: in words, the order of classes, and their places in it from 0."""
    for name, order in _orders(synsets, devkit).items():
        yield f"{name}, {'less 1' if order is devkit else 'from 0'}", order, labels
        yield f"{name}, from 1", order, labels - 1
    yield f"the order of {synsets.source}, from 1", synsets, labels - 1
    yield f"the order of {synsets.source}, one too low", synsets, labels + 1
    ids = None if devkit is None else _moved(labels, synsets, devkit)
    if ids is not None:  # places that were taken for the devkit's ids are turned back
        yield "places among sorted WNIDs, not ILSVRC2012_ID", _sorted(synsets, str), ids


def _orders(synsets: Synsets, devkit: Synsets | None) -> dict[str, Synsets]:
    """The orders other than that of ``synsets`` in which classes are numbered, by name, each once."""
    words = dict(zip(synsets.wnids, synsets.words, strict=True)) if any(synsets.words) else {}
    if devkit is not None and not words:
        words = dict(zip(devkit.wnids, devkit.words, strict=True))
    orders = {"sorted WNIDs": _sorted(synsets, str)}
    if devkit is not None:
        orders[f"ILSVRC2012_ID of {devkit.source}"] = devkit
    orders["the alphabetical order of names"] = _sorted(synsets, lambda wnid: words.get(wnid, wnid))
    orders["the alphabetical order of names in any case"] = _sorted(
        synsets, lambda wnid: words.get(wnid, wnid).casefold()
    )
    if all(wnid.isdecimal() for wnid in synsets.wnids):
        orders["numbers in their order"] = _sorted(synsets, int)
    found: dict[str, Synsets] = {}
    for name, order in orders.items():
        if all(order.wnids != known.wnids for known in (synsets, *found.values())):
            found[name] = order
    return found


def _sorted(synsets: Synsets, key: Callable[[str], str | int]) -> Synsets:
    wnids = tuple(sorted(synsets.wnids, key=key))
    return Synsets(wnids, ("",) * len(wnids), synsets.source)


def _moved(places: Ints, order: Synsets, other: Synsets) -> Ints | None:
    """Places in one order of classes as places in another; None where one of them is not there."""
    if places.min() < 0 or places.max() >= len(order) or not set(order.wnids) <= set(other.wnids):
        return None
    return other.labels_of([order.wnids[place] for place in places], other.source)


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
        return f"{symptom}; with {best} it is {fits[best]:.2%}: use that order"
    share = consistency(guesses, labels)
    if len(labels) >= _PER_CLASS * len(np.unique(labels)) and share >= _CLEARLY_BETTER:
        return (
            f"{symptom}, yet {share:.2%} of the images get the answer that is usual for their class:"
            " the labels number the classes otherwise than the network, and in no order that --synsets or"
            " --devkit tells"
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
