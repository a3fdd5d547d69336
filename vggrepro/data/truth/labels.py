"""Which class an image has: Caffe's lists, synset files, the devkit's ground truth and blacklist.

ILSVRC numbers its classes in two orders. Caffe's labels count from 0 through the WordNet ids
(WNIDs) as sorted; the devkit's ``ILSVRC2012_ID`` counts from 1 through another order, which only its
``meta.mat`` tells. Taking one for the other gives 0.1% accuracy and no error, so the WNID is what
joins them here, and a file of the devkit is not read without the devkit's order.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vggrepro.data.arrays import Ints
from vggrepro.data.truth.mat_file import Row, read_structures
from vggrepro.errors import DataError
from vggrepro.system.file_names import failure

_WNID = re.compile(r"n\d{8}", re.ASCII)

_ID_FIELDS = ("ILSVRC2012_ID", "ILSVRC2010_ID")
"""What a class's id is called in meta.mat, which also has the inner nodes of the hierarchy."""
_LATER_ID_FIELDS = ("ILSVRC2014_ID", "ILSVRC2015_CLSLOC_ID")
"""The same in the later devkits' meta_clsloc.mat, which has the classes alone."""
_WORDS_FIELDS = ("words", "name")

_LONGEST_LINE = 1 << 16


@dataclass(frozen=True)
class Synsets:
    """Classes in some order: a network's outputs, or the devkit's ids.

    ``wnids`` are what tells them apart: WNIDs, or names where the classes have no WNIDs; then ``words`` are
    empty.
    """

    wnids: tuple[str, ...]
    words: tuple[str, ...]
    source: str
    """The file they are from, for messages."""

    def __len__(self) -> int:
        return len(self.wnids)

    @property
    def names(self) -> list[str]:
        """WNID and words of every class."""
        return [f"{wnid} {words}".strip() for wnid, words in zip(self.wnids, self.words, strict=True)]

    def labels_of(self, wnids: Iterable[str], where: str) -> Ints:
        """The place of each WNID in this order. Raises DataError that names one it lacks, or has twice."""
        places = {wnid: place for place, wnid in enumerate(self.wnids)}
        wanted = list(wnids)
        if not self.distinct:
            twice = {wnid for wnid, times in Counter(self.wnids).items() if times > 1}
            for wnid in wanted:
                if wnid in twice:
                    raise DataError(f"{where}: class {wnid} could be any of several of {self.source}")
        try:
            return np.array([places[wnid] for wnid in wanted], np.int64)
        except KeyError as error:
            raise DataError(f"{where}: class {error.args[0]} is not among those of {self.source}") from None

    @property
    def distinct(self) -> bool:
        """Whether no two classes are called the same: lists of plain names have two cranes."""
        return len(set(self.wnids)) == len(self.wnids)


def read_synsets(path: Path) -> Synsets:
    """Read Caffe's synset_words.txt (``n01440764 tench, Tinca tinca``), which Kaggle calls
    LOC_synset_mapping.txt, or synsets.txt (WNIDs alone), or a list of one name a line without any WNID."""
    wnids, words = [], []
    lines = list(text_lines(path))
    if lines and not any(is_wnid(line.partition(" ")[0]) for _, line in lines):
        return Synsets(tuple(line for _, line in lines), ("",) * len(lines), str(path))
    for number, line in lines:
        wnid, _, text = line.partition(" ")
        if not _WNID.fullmatch(wnid):
            raise DataError(f"{path}:{number}: expected a WNID as n01440764, got {wnid!r}")
        wnids.append(wnid)
        words.append(text.strip())
    return _synsets(wnids, words, str(path))


def is_wnid(text: str) -> bool:
    """Whether a text is a WordNet id, as n01440764."""
    return _WNID.fullmatch(text) is not None


def read_devkit_list(path: Path) -> Synsets:
    """The devkit's classes in the order of their ids from a text file: one WNID a line in that order, or the
    later devkits' map_clsloc.txt, whose lines give the id behind the WNID (``n02119789 1 kit_fox``)."""
    synsets = read_synsets(path)
    first, _, rest = zip(*(words.partition(" ") for words in synsets.words), strict=True)
    if not all(map(is_integer, first)):
        return synsets
    rows = sorted(zip(map(int, first), synsets.wnids, rest, strict=True))
    if [number for number, _, _ in rows] != list(range(1, len(rows) + 1)):
        raise DataError(f"{path}: the ids of the {len(rows)} classes are not 1 to {len(rows)}")
    return Synsets(tuple(wnid for _, wnid, _ in rows), tuple(words for _, _, words in rows), str(path))


def read_devkit_meta(path: Path) -> Synsets:
    """The classes of the devkit's meta.mat in the order of ILSVRC2012_ID (or ILSVRC2010_ID), 1 first.

    The later devkits' meta_clsloc.mat has the same order as ILSVRC2014_ID or ILSVRC2015_CLSLOC_ID.

    meta.mat also holds the inner nodes of the hierarchy; only classes without children have ids
    that images bear. Raises DataError where the file is none, is damaged, or lacks what is needed.
    """
    rows = sorted(
        (
            _whole(row, (*_ID_FIELDS, *_LATER_ID_FIELDS), path),
            _text(row, ("WNID",), path),
            _text(row, _WORDS_FIELDS, path),
        )
        for row in read_structures(path, "synsets")
        if _is_class(row, path)
    )
    if [number for number, _, _ in rows] != list(range(1, len(rows) + 1)):
        raise DataError(
            f"{path}: the ids of the {len(rows)} classes without children are not 1 to {len(rows)}"
        )
    return _synsets([wnid for _, wnid, _ in rows], [words for _, _, words in rows], str(path))


def _whole(row: Row, names: Sequence[str], path: Path) -> int:
    """The whole number in the first of the fields ``names`` that a structure has."""
    value = next((row[name] for name in names if name in row), None)
    if isinstance(value, np.ndarray) and value.size == 1 and float(value[0]).is_integer():
        return int(value[0])
    raise DataError(f"{path}: not the meta.mat of an ILSVRC devkit: {names[0]} is {value}, expected a number")


def _is_class(row: Row, path: Path) -> bool:
    """Whether a structure is a class, and no inner node of the hierarchy."""
    if "num_children" not in row and any(name in row for name in _LATER_ID_FIELDS):
        return True
    return _whole(row, ("num_children",), path) == 0


def _text(row: Row, names: Sequence[str], path: Path) -> str:
    """The text in the first of the fields ``names`` that a structure has."""
    name = next((name for name in names if name in row), names[0])
    value = row.get(name)
    if isinstance(value, np.ndarray) and value.size == 0:  # MATLAB's empty text
        return ""
    if not isinstance(value, str):
        raise DataError(f"{path}: not the meta.mat of an ILSVRC devkit: {name} is {value}, expected a text")
    return value


def read_list(path: Path) -> tuple[tuple[str, int], ...]:
    """Read Caffe's list: a line is an image's path, a space, and its label from 0.

    As in Caffe the last space is the one that separates. Bytes of a path that are not UTF-8 become
    surrogates (``surrogateescape``), as in the keys of folders and tars. Raises DataError with the line where
    the label is no whole number (Caffe would read 0, or the digits before the point).
    """
    entries = []
    for number, line in text_lines(path, "surrogateescape"):
        key, _, label = line.rpartition(" ")
        if not key or not is_integer(label):
            raise DataError(f"{path}:{number}: expected 'file label', got {line!r}")
        entries.append((key, int(label)))
    if not entries:
        raise DataError(f"{path}: File is empty")
    return tuple(entries)


def is_devkit_ground_truth(path: Path) -> bool:
    """Whether a file is one id a line (the devkit's), and not Caffe's ``file label``."""
    for _, line in text_lines(path):
        return is_integer(line)
    raise DataError(f"{path}: File is empty")


def read_devkit_ground_truth(path: Path, devkit: Synsets | None) -> tuple[str, ...]:
    """The WNID of every image, in the alphabetical order of the image files.

    ``devkit`` is the order of the ids (``read_devkit_meta``, or ``read_synsets`` of a list in that
    order). Raises DataError where it is missing, or where an id is outside it.
    """
    if devkit is None:
        raise DataError(
            f"{path}: holds the devkit's ids, whose order is not that of sorted WNIDs:"
            " the devkit's meta.mat, or a list of WNIDs in the order of the ids, is needed to read it"
        )
    wnids = []
    for number, line in text_lines(path):
        if not is_integer(line):
            raise DataError(f"{path}:{number}: expected an ILSVRC2012_ID, got {line!r}")
        place = int(line)
        if not 1 <= place <= len(devkit):
            raise DataError(
                f"{path}:{number}: ILSVRC2012_ID {place}, but {devkit.source} has 1 to {len(devkit)}"
            )
        wnids.append(devkit.wnids[place - 1])
    return tuple(wnids)


def read_blacklist(path: Path, images: int) -> frozenset[int]:
    """The places (from 0, in alphabetical order of files) that the devkit's blacklist names (from 1)."""
    places = []
    for number, line in text_lines(path):
        if not is_integer(line) or not 1 <= int(line) <= images:
            raise DataError(f"{path}:{number}: expected an image's number, 1 to {images}, got {line!r}")
        places.append(int(line) - 1)
    return frozenset(places)


def wnid_of_key(key: str) -> str | None:
    """The WNID in an image's path: its folder's name, or what its file's name begins with."""
    *folders, file = key.split("/")
    for folder in reversed(folders):
        if _WNID.fullmatch(folder):
            return folder
    match = re.match(r"(n\d{8})_", file)
    return match.group(1) if match else None


def labels_by_folder(keys: Sequence[str], synsets: Synsets | None, where: str) -> tuple[Ints, Synsets]:
    """Labels from the WNIDs in the images' paths (``n01440764/n01440764_10026.JPEG``), and their order. If no
    path has a WNID, the names of the folders that the images lie in are the classes' (``cat/1.jpg``); there
    must be two of them.

    Without ``synsets`` the order is that of the classes found, sorted, as Caffe numbers them.
    """
    wnids = [wnid_of_key(key) for key in keys]
    if not any(wnids):
        wnids = [key.rpartition("/")[0].rpartition("/")[2] or None for key in keys]
        if len(set(wnids)) == 1 and wnids[0] is not None:
            raise DataError(
                f"{where}: all images lie in {wnids[0]!r}, which is no WNID: expected a folder for each class"
            )
    found = [wnid for wnid in wnids if wnid is not None]
    if len(found) != len(keys):
        raise DataError(f"{where}: no class can be told from the path {keys[wnids.index(None)]}")
    if synsets is None:
        order = sorted(set(found))
        synsets = Synsets(tuple(order), ("",) * len(order), where)
    return synsets.labels_of(found, where), synsets


def _synsets(wnids: Sequence[str], words: Sequence[str], source: str) -> Synsets:
    if not wnids:
        raise DataError(f"{source}: File is empty")
    wnid, times = Counter(wnids).most_common(1)[0]
    if times > 1:
        raise DataError(f"{source}: class {wnid} occurs {times} times")
    return Synsets(tuple(wnids), tuple(words), source)


def text_lines(path: Path, errors: str = "strict") -> Iterator[tuple[int, str]]:
    """The lines that are not empty, with their numbers, without the white space around them. ``errors`` says
    what becomes of bytes that are not UTF-8."""
    try:
        with path.open(encoding="utf-8", errors=errors) as file:
            for number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE), ""), 1):
                if len(line) == _LONGEST_LINE or "\0" in line:
                    raise DataError(f"{path}:{number}: not a text file: a line too long, or with zeros")
                if line.strip():
                    yield number, line.strip()
    except OSError as error:
        raise DataError(f"{path}: Could not open or find file: {failure(error)}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a text file: {error}") from error


def is_integer(text: str) -> bool:
    return re.fullmatch(r"[+-]?[0-9]{1,9}", text) is not None
