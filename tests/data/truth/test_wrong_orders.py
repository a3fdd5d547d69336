"""Ground truth in a wrong order of classes, from files as people have them: the message names the order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from vggrepro.data.truth.ground_truth import Truth, open_truth
from vggrepro.errors import DataError

CLASSES, IMAGES = 40, 600
_RNG = np.random.default_rng(4)
WNIDS = [f"n{number:08d}" for number in sorted(_RNG.choice(10**7, CLASSES, replace=False))]
"""Sorted, as the network's outputs are."""
NAMES = [f"{'aAbBcC'[n % 6]}{chr(97 + n // 6)}{n:02} thing" for n in _RNG.permutation(CLASSES)]
BY_ID = _RNG.permutation(CLASSES)
"""The place among the sorted classes of the devkit's ids from 1."""
LABELS = _RNG.permutation(np.arange(IMAGES) % CLASSES)
ALPHABETICAL = np.argsort(NAMES)
ANY_CASE = np.argsort([name.casefold() for name in NAMES])
ALL = np.ones(IMAGES, bool)


def places(order: Sequence[int]) -> np.ndarray:
    """The images' classes as places in another order of the classes, from 0."""
    return np.argsort(order)[LABELS]


def answers(outputs: np.ndarray) -> np.ndarray:
    """Five guesses for each image, of a network that is right about three in four: ``outputs`` are right."""
    guesses = np.stack([np.random.default_rng(i).permutation(CLASSES)[:5] for i in range(IMAGES)])
    right = np.arange(IMAGES) % 4 != 0
    guesses[right, 0] = outputs[right]
    return guesses


def write(path: Path, lines: Sequence[object]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def key(number: int) -> str:
    return f"ILSVRC2012_val_{number:08}"


def opened(folder: Path, kind: str, numbers: np.ndarray, kept: np.ndarray = ALL, **more: Path) -> Truth:
    """The truth of files of one ``kind`` with these ``numbers`` for the images; only ``kept`` ones are there.
    The classes' names are known, and the devkit's order, unless ``more`` says otherwise."""
    (folder / "images").mkdir()
    for number in np.flatnonzero(kept) + 1:
        (folder / "images" / f"{key(number)}.JPEG").write_bytes(b"")
    lines = {
        "list": [f"{key(n + 1)}.JPEG {numbers[n]}" for n in np.flatnonzero(kept)],
        "ground truth": [str(number) for number in numbers],
        "kaggle": ["ImageId,PredictionString"]
        + [f"{key(n)},{WNIDS[label]} 1 2 3 4" for n, label in enumerate(LABELS, 1)],
    }[kind]
    files = {
        "labels": write(folder / "labels", lines),
        "synsets": write(folder / "synset_words.txt", named(range(CLASSES))),
        "devkit": write(folder / "map_clsloc.txt", [f"{WNIDS[p]} {n} x" for n, p in enumerate(BY_ID, 1)]),
    }
    return open_truth(folder / "images", **{**files, **more})


def named(order: Sequence[int]) -> list[str]:
    return [f"{WNIDS[place]} {NAMES[place]}" for place in order]


def diagnosis(truth: Truth, outputs: np.ndarray = LABELS, kept: np.ndarray = ALL) -> str | None:
    """``outputs`` are the network's outputs for the images' true classes."""
    truth.check(CLASSES)
    return truth.diagnosis(answers(outputs)[kept], np.arange(int(kept.sum())), CLASSES)


@pytest.mark.parametrize("kind", ["list", "ground truth", "kaggle"])
def test_every_kind_in_its_own_order_needs_no_diagnosis(tmp_path, kind):
    numbers = places(BY_ID) + 1 if kind == "ground truth" else LABELS
    assert diagnosis(opened(tmp_path, kind, numbers)) is None


WRONG_LISTS = {
    "ids": (places(BY_ID) + 1, "ILSVRC2012_ID of {0}/map_clsloc.txt, from 1"),
    "ids less 1": (places(BY_ID), "ILSVRC2012_ID of {0}/map_clsloc.txt, less 1"),
    "one too high": (LABELS + 1, "the order of {0}/synset_words.txt, from 1"),
    "one too low": (LABELS - 1, "the order of {0}/synset_words.txt, one too low"),
    "alphabetical": (places(ALPHABETICAL), "the alphabetical order of names, from 0"),
    "alphabetical from 1": (places(ALPHABETICAL) + 1, "the alphabetical order of names, from 1"),
    "alphabetical, any case": (places(ANY_CASE), "the alphabetical order of names in any case, from 0"),
}


@pytest.mark.parametrize("wrong", WRONG_LISTS)
def test_lists_in_another_order(tmp_path, wrong):
    numbers, name = WRONG_LISTS[wrong]
    kept = (numbers >= 0) & (numbers < CLASSES)  # with the others the range of the labels gives it away
    message = diagnosis(opened(tmp_path, "list", numbers, kept), kept=kept)
    assert message is not None
    assert f"with the labels read as {name.format(tmp_path)}" in message


@pytest.mark.parametrize(("shift", "words"), [(1, "they seem to count from 1"), (-1, "one too low")])
def test_the_range_of_the_labels_tells_those_that_are_off_by_one(tmp_path, shift, words):
    with pytest.raises(DataError, match=words):
        diagnosis(opened(tmp_path, "list", LABELS + shift))


def test_sorted_places_that_are_taken_for_ids(tmp_path):
    message = diagnosis(opened(tmp_path, "ground truth", LABELS + 1))
    assert message is not None
    assert "with the labels read as places among sorted WNIDs, not ILSVRC2012_ID" in message


def test_places_from_0_are_no_ids(tmp_path):
    with pytest.raises(DataError, match=r"ILSVRC2012_ID 0, but .* has 1 to 40"):
        opened(tmp_path, "ground truth", LABELS)


@pytest.mark.parametrize("kind", ["list", "kaggle"])
@pytest.mark.parametrize(
    ("order", "name"),
    [
        (BY_ID, "ILSVRC2012_ID of {0}/map_clsloc.txt"),
        (ALPHABETICAL, "the alphabetical order of names"),
        (ANY_CASE, "the alphabetical order of names in any case"),
    ],
)
def test_a_network_whose_outputs_are_in_another_order(tmp_path, kind, order, name):
    message = diagnosis(opened(tmp_path, kind, LABELS), places(order))
    assert message is not None
    assert f"the network's outputs read as {name.format(tmp_path)}" in message


def test_synsets_in_the_order_of_the_ids_for_a_network_in_that_of_wnids(tmp_path):
    by_id = write(tmp_path / "by_id.txt", named(BY_ID))
    message = diagnosis(opened(tmp_path, "kaggle", LABELS, synsets=by_id))
    assert message is not None
    assert "the network's outputs read as sorted WNIDs" in message


def test_off_by_one_is_told_without_the_names_of_the_classes(tmp_path):
    kept = LABELS < CLASSES - 1
    truth = opened(tmp_path, "list", LABELS + 1, kept, synsets=None, devkit=None)
    message = diagnosis(truth, kept=kept)
    assert message is not None
    assert "with the labels read as the order of the network, from 1 it is" in message


def test_an_order_that_no_file_tells(tmp_path):
    message = diagnosis(opened(tmp_path, "list", places(BY_ID), devkit=None))
    assert message is not None
    assert "in no order that --synsets or --devkit tells" in message


def test_folders_with_numbers_for_names_are_sorted_as_text(tmp_path):
    for number, label in enumerate(LABELS):
        path = tmp_path / "images" / str(label) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    truth = open_truth(tmp_path / "images")
    numbers = [int(Path(truth.source.key(place)).stem) for place in range(IMAGES)]
    message = truth.diagnosis(answers(LABELS)[numbers], np.arange(IMAGES), CLASSES)
    assert message is not None
    assert "the network's outputs read as numbers in their order" in message
