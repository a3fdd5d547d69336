"""Label files of Caffe and of the devkit, and their two orders of the classes."""

from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from vggrepro.data.label_check import check_labels
from vggrepro.data.truth.labels import (
    Synsets,
    is_devkit_ground_truth,
    labels_by_folder,
    read_blacklist,
    read_devkit_ground_truth,
    read_devkit_meta,
    read_list,
    read_synsets,
    wnid_of_key,
)
from vggrepro.errors import DataError

DEMO = Path(str(resources.files("vggrepro.demo")))
CLASSES = 100
WNIDS = tuple(f"n{i:08d}" for i in range(CLASSES))
SYNSETS = Synsets(WNIDS, ("",) * CLASSES, "synset_words.txt")


def devkit_order(seed: int = 0) -> Synsets:
    order = np.random.default_rng(seed).permutation(CLASSES)
    return Synsets(tuple(WNIDS[i] for i in order), ("",) * CLASSES, "meta.mat")


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def write_meta(path: Path, rows: list[tuple[int, str, str, int]]) -> Path:
    io = pytest.importorskip("scipy.io")
    types = [("ILSVRC2012_ID", "f8"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "f8")]
    synsets = np.array([(i, wnid, words, "", children) for i, wnid, words, children in rows], dtype=types)
    io.savemat(path, {"synsets": synsets[:, None]})
    return path


def test_demo_lists():
    synsets = read_synsets(DEMO / "synset_words.txt")
    assert (synsets.wnids[3], synsets.words[3], len(synsets)) == ("n90000003", "handwritten digit three", 10)
    entries = read_list(DEMO / "val.txt")
    assert entries[0] == ("ILSVRC2012_val_00000001.JPEG", 4)
    check_labels([label for _, label in entries], 10, "val.txt")
    train = read_list(DEMO / "train.txt")
    labels, order = labels_by_folder([key for key, _ in train], synsets, "train")
    assert_array_equal(labels, [label for _, label in train])
    assert labels_by_folder([key for key, _ in train], None, "train")[1].wnids == order.wnids


def test_the_last_space_separates_the_label(tmp_path):
    entries = read_list(write(tmp_path / "list", "my pictures/a b.jpg 12\n\n  c.jpg 0  \n"))
    assert entries == (("my pictures/a b.jpg", 12), ("c.jpg", 0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.jpg 1\nb.jpg\n", r"list:2: expected 'file label', got 'b\.jpg'"),
        ("a.jpg one\n", "list:1: expected 'file label'"),
        ("a.jpg 1.5\n", "list:1: expected 'file label'"),
        ("17\n", "list:1: expected 'file label'"),
        ("\n \n", "list: File is empty"),
    ],
)
def test_lists_that_are_none(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_list(write(tmp_path / "list", text))


def test_files_that_are_missing_or_binary(tmp_path):
    with pytest.raises(DataError, match="nowhere: Could not open or find file"):
        read_list(tmp_path / "nowhere")
    (tmp_path / "binary").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(DataError, match="binary: not a text file"):
        read_synsets(tmp_path / "binary")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n01440764 tench\ntench\n", r"synsets:2: expected a WNID as n01440764, got 'tench'"),
        ("n01440764\nn01440764\n", "class n01440764 occurs 2 times"),
        ("", "File is empty"),
    ],
)
def test_synset_files_that_are_none(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_synsets(write(tmp_path / "synsets", text))


def test_devkit_ids_are_joined_by_wnid(tmp_path):
    rows = [
        (3, "n00000001", "one", 0),
        (1, "n00000009", "nine", 0),
        (4, "n00000100", "an inner node", 2),
        (2, "n00000005", "five", 0),
    ]
    devkit = read_devkit_meta(write_meta(tmp_path / "meta.mat", rows))
    assert devkit.wnids == ("n00000009", "n00000005", "n00000001")
    assert devkit.words == ("nine", "five", "one")
    truth = write(tmp_path / "ILSVRC2012_validation_ground_truth.txt", "3\n1\n1\n2\n")
    assert is_devkit_ground_truth(truth)
    wnids = read_devkit_ground_truth(truth, devkit)
    assert wnids == ("n00000001", "n00000009", "n00000009", "n00000005")
    caffe = Synsets(("n00000001", "n00000005", "n00000009"), ("",) * 3, "synset_words.txt")
    assert_array_equal(caffe.labels_of(wnids, "truth"), [0, 2, 2, 1])


def test_one_class_meta(tmp_path):
    assert read_devkit_meta(write_meta(tmp_path / "m.mat", [(1, "n00000001", "one", 0)])).wnids == (
        "n00000001",
    )


def test_meta_that_is_none(tmp_path):
    path = write_meta(tmp_path / "m.mat", [(1, "n00000001", "", 0), (3, "n00000002", "", 0)])
    with pytest.raises(DataError, match="the ids of the 2 classes without children are not 1 to 2"):
        read_devkit_meta(path)
    for content in (b"no matlab file", b"\0" * 200):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"m\.mat: not the meta\.mat of an ILSVRC devkit"):
            read_devkit_meta(path)


def test_devkit_ground_truth_is_not_read_without_its_order(tmp_path):
    with pytest.raises(DataError, match=r"whose order is not that of sorted WNIDs: the devkit's meta\.mat"):
        read_devkit_ground_truth(write(tmp_path / "truth", "490\n361\n"), None)


@pytest.mark.parametrize("text", ["0\n1\n", "1\n101\n", "1\nx\n"])
def test_ids_outside_the_devkit(tmp_path, text):
    with pytest.raises(DataError, match=r"truth:\d: .*ILSVRC2012_ID"):
        read_devkit_ground_truth(write(tmp_path / "truth", text), devkit_order())


def test_lists_are_told_from_ground_truth(tmp_path):
    assert not is_devkit_ground_truth(write(tmp_path / "list", "ILSVRC2012_val_00000001.JPEG 65\n"))
    with pytest.raises(DataError, match="File is empty"):
        is_devkit_ground_truth(write(tmp_path / "empty", ""))


def test_labels_that_count_from_one_are_noticed():
    with pytest.raises(
        DataError, match=r"labels run from 1 to 1000, expected 0 to 999 \(they seem to count from 1"
    ):
        check_labels([1, 500, 1000], 1000, "val.txt")
    with pytest.raises(DataError, match=r"labels run from -1 to 3, expected 0 to 9$"):
        check_labels([-1, 3], 10, "val.txt")


def test_blacklist_counts_from_one(tmp_path):
    assert read_blacklist(write(tmp_path / "black", "36\n1\n50\n"), 50) == {35, 0, 49}
    for text in ("0\n", "51\n", "x\n"):
        with pytest.raises(DataError, match="expected an image's number, 1 to 50"):
            read_blacklist(write(tmp_path / "black", text), 50)


@pytest.mark.parametrize(
    ("key", "wnid"),
    [
        ("n01440764/n01440764_10026.JPEG", "n01440764"),
        ("val/n01440764/ILSVRC2012_val_00000293.JPEG", "n01440764"),
        ("n01440764_10026.JPEG", "n01440764"),
        ("ILSVRC2012_val_00000293.JPEG", None),
        ("n014407640/x.JPEG", None),
    ],
)
def test_wnid_in_a_path(key, wnid):
    assert wnid_of_key(key) == wnid


def test_classes_by_folder_that_do_not_fit():
    with pytest.raises(DataError, match=r"train: class n99999999 is not among those of synset_words\.txt"):
        labels_by_folder(["n99999999/x.jpg"], SYNSETS, "train")
    with pytest.raises(DataError, match=r"no class can be told from the path misc/x\.jpg"):
        labels_by_folder(["n00000001/x.jpg", "misc/x.jpg"], SYNSETS, "train")
