"""Images with their ground truth, from the files that ILSVRC and Caffe come with.

The network's classes are in the order of Caffe's synset_words.txt. Labels in the devkit's own order are
brought to that order by WNID, and labels in a wrong order are recognised by the network's answers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from vggrepro.data.arrays import Ints
from vggrepro.data.label_check import check_labels
from vggrepro.data.sources import Selection, Source, alphabetical, listed, open_images, with_labels
from vggrepro.data.truth.kaggle import is_kaggle_solution, read_kaggle_solution
from vggrepro.data.truth.label_order import diagnose, label_orders
from vggrepro.data.truth.labels import (
    Synsets,
    is_devkit_ground_truth,
    labels_by_folder,
    read_blacklist,
    read_devkit_ground_truth,
    read_devkit_list,
    read_devkit_meta,
    read_list,
    read_synsets,
)
from vggrepro.errors import DataError

_NUMBER = re.compile(r"ILSVRC2012_val_(\d{8})\.")
_VALIDATION_IMAGES = 50_000

_ENOUGH = 10
"""Images that it takes before wrong answers to all of them are no accident: a net that is right about 7
images in 10 is wrong about 10 in a row once in 170,000 times."""


@dataclass(frozen=True, eq=False)
class Truth:
    """``labels[i]`` is the class, from 0, of image i of ``source``, or -1 for all of them if it is not known:
    then ``labelled`` is False. ``synsets`` is the network's order of the
    classes and ``devkit`` the devkit's, where known. ``left_out`` are blacklisted images."""

    source: Source
    labels: Ints
    where: str
    synsets: Synsets | None = None
    devkit: Synsets | None = None
    left_out: frozenset[int] = frozenset()
    notices: tuple[str, ...] = ()
    """What a reader of results must know about the images, in sentences."""
    labelled: bool = True

    @property
    def names(self) -> Sequence[str]:
        """WNID and words of every class; nothing where the classes are not known."""
        return () if self.synsets is None else self.synsets.names

    def check(self, classes: int) -> None:
        """Raise DataError unless a network of so many classes can be right about these labels."""
        if self.labelled:
            check_labels(self.labels, classes, self.where)
        if self.synsets is not None and len(self.synsets) != classes:
            raise DataError(
                f"{self.synsets.source}: {len(self.synsets)} classes, but the network has {classes}"
            )

    def diagnosis(self, guesses: Ints, indexes: Ints, classes: int) -> str | None:
        """What is wrong with the order of the classes, if the errors of the ``guesses`` (n, 5) for the images
        at ``indexes`` are those of chance."""
        if len(indexes) < _ENOUGH:
            return None
        labels = self.labels[indexes]
        synsets = self.synsets or _unnamed(classes)
        return diagnose(guesses, labels, label_orders(labels, synsets, self.devkit), classes)


def open_truth(
    images: Path,
    labels: Path | None = None,
    synsets: Path | None = None,
    devkit: Path | None = None,
    blacklist: Path | None = None,
    tar_index: Path | None = None,
) -> Truth:
    """Open a folder, a tar or an LMDB of images, with its ground truth.

    ``labels`` is Caffe's ``file label`` list, which then says which images are meant and in which order, or
    the devkit's ground truth or Kaggle's LOC_val_solution.csv, of which some images may be there. Without it
    an LMDB's own labels count, or the classes in the images' paths. ``synsets`` is the network's order of the
    classes (synset_words.txt, or one name a line); ``devkit`` the devkit's (meta.mat, map_clsloc.txt, or a
    list of WNIDs by ILSVRC2012_ID); ``tar_index`` where the index of a tar is kept. Raises DataError
    for what does not fit together.
    """
    order = read_synsets(synsets) if synsets is not None else None
    ids = _devkit_order(devkit) if devkit is not None else None
    truth = _truth(open_images(images, tar_index=tar_index), labels, order or _sorted(ids), ids)
    if blacklist is None:
        return truth
    return replace(truth, left_out=_blacklisted(truth.source, blacklist))


def open_unlabelled(
    images: Path, synsets: Path | None = None, devkit: Path | None = None, tar_index: Path | None = None
) -> Truth:
    """Open images whose classes are not known, as ILSVRC's test images, in the order of their source; the
    other arguments are those of :func:`open_truth`. Raises DataError for what does not fit together."""
    source = open_images(images, tar_index=tar_index)
    ids = _devkit_order(devkit) if devkit is not None else None
    order = read_synsets(synsets) if synsets is not None else _sorted(ids)
    return Truth(source, np.full(len(source), -1), source.name, order, ids, labelled=False)


def _blacklisted(source: Source, path: Path) -> frozenset[int]:
    """The places of the images whose numbers the blacklist has. The number is in ILSVRC's file names; other
    images are counted in alphabetical order."""
    matches = [_NUMBER.search(source.key(index)) for index in range(len(source))]
    if all(matches):
        numbers = [int(match.group(1)) for match in matches if match is not None]
        most = max(_VALIDATION_IMAGES, *numbers)
    else:
        numbers = (np.argsort(alphabetical(source)) + 1).tolist()
        most = len(source)
    listed_numbers = read_blacklist(path, most)  # counted from 0
    return frozenset(place for place, number in enumerate(numbers) if number - 1 in listed_numbers)


def _truth(source: Source, labels: Path | None, synsets: Synsets | None, devkit: Synsets | None) -> Truth:
    if labels is None and source.label(0) is not None:
        return Truth(source, own_labels(source), source.name, synsets, devkit)
    if labels is None:
        found, order = labels_by_folder([source.key(i) for i in range(len(source))], synsets, source.name)
        return Truth(with_labels(source, found), found, source.name, order, devkit)
    if is_kaggle_solution(labels):
        return _from_kaggle(source, labels, synsets, devkit)
    if is_devkit_ground_truth(labels):
        return _from_devkit(source, labels, synsets, devkit)
    view = listed(source, read_list(labels), str(labels))
    return Truth(view, own_labels(view), str(labels), synsets, devkit)


def _from_devkit(source: Source, labels: Path, synsets: Synsets | None, devkit: Synsets | None) -> Truth:
    wnids = read_devkit_ground_truth(labels, devkit)
    if source.label(0) is not None:
        raise DataError(
            f"{labels}: one id for each file in the order of their names, but {source.name} is a database"
            " in an order of its own; it has its own labels, which count without this file"
        )
    order = alphabetical(source)
    of_images = wnids if len(wnids) == len(source) else _by_number(source, order, wnids, labels)
    if synsets is None:
        raise DataError(f"{labels}: the order of the network's classes is needed to read it")
    found = synsets.labels_of(of_images, str(labels))
    notices = _part(len(source), len(wnids), labels)
    return Truth(Selection(source, order, found), found, str(labels), synsets, devkit, notices=notices)


def _by_number(source: Source, order: Ints, wnids: Sequence[str], labels: Path) -> list[str]:
    """The WNIDs of the images at ``order`` by the numbers in ILSVRC's file names: some of the images that the
    ground truth is for. Raises DataError where the names have none, or one beyond the ground truth."""
    found = []
    for index in order:
        match = _NUMBER.search(source.key(int(index)))
        if match is None:
            raise DataError(f"{source.name}: {len(source)} images, but {labels} has {len(wnids)}")
        number = int(match.group(1))
        if not 1 <= number <= len(wnids):
            raise DataError(
                f"{source.place(int(index))}: {labels} has {len(wnids)} images, not image {number}"
            )
        found.append(wnids[number - 1])
    return found


def _from_kaggle(source: Source, labels: Path, synsets: Synsets | None, devkit: Synsets | None) -> Truth:
    solution = read_kaggle_solution(labels)
    wnids = []
    for index in range(len(source)):
        wnid = solution.get(PurePosixPath(source.key(index)).stem)
        if wnid is None:
            raise DataError(f"{source.place(index)}: {labels} has no such image")
        wnids.append(wnid)
    if synsets is None:
        order = sorted(set(solution.values()))
        synsets = Synsets(tuple(order), ("",) * len(order), f"{labels}, sorted by WNID")
    found = synsets.labels_of(wnids, str(labels))
    notices = _part(len(source), len(solution), labels)
    return Truth(with_labels(source, found), found, str(labels), synsets, devkit, notices=notices)


def _part(images: int, listed: int, labels: Path) -> tuple[str, ...]:
    """What to tell where not all images of a ground truth are there."""
    return (f"{images} of the {listed} images that {labels} is for are there",) if images != listed else ()


def own_labels(source: Source) -> Ints:
    """The labels that the source itself knows. Raises DataError if one has none."""
    found = [source.label(index) for index in range(len(source))]
    known = [label for label in found if label is not None]
    if len(known) != len(found):
        raise DataError(f"{source.place(found.index(None))}: the image has no label")
    return np.asarray(known, np.int64)


def _unnamed(classes: int) -> Synsets:
    """Classes of which nothing is known but their number."""
    names = tuple(f"class {place:06}" for place in range(classes))
    return Synsets(names, ("",) * classes, "the network")


def _devkit_order(path: Path) -> Synsets:
    return read_devkit_meta(path) if path.suffix == ".mat" else read_devkit_list(path)


def _sorted(devkit: Synsets | None) -> Synsets | None:
    """Caffe's order of the devkit's classes: by WNID."""
    if devkit is None:
        return None
    wnids, words = zip(*sorted(zip(devkit.wnids, devkit.words, strict=True)), strict=True)
    return Synsets(wnids, words, f"{devkit.source}, sorted by WNID")
