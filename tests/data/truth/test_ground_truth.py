"""Images with their ground truth: from lists, from the devkit's files, and from the paths of the images."""

from pathlib import Path

import numpy as np
import pytest

from vggrepro.data.sources import FolderSource, with_labels
from vggrepro.data.truth.ground_truth import Truth, open_truth, own_labels
from vggrepro.data.truth.labels import Synsets
from vggrepro.errors import DataError

WNIDS = ("n00000001", "n00000002", "n00000003")
SYNSETS = Synsets(WNIDS, ("one", "two", "three"), "synset_words.txt")


def make_images(folder, *names):
    """Files with these names; what they hold is not looked at."""
    for name in names:
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return folder / "images"


def write(path, *lines):
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def keys(truth):
    return [truth.source.key(index) for index in range(len(truth.source))]


def test_a_list_says_which_images_are_meant_and_in_which_order(tmp_path):
    images = make_images(tmp_path, "a.png", "b.png", "c.png")
    truth = open_truth(images, write(tmp_path / "val.txt", "c.png 2", "a.png 0"))
    assert keys(truth) == ["c.png", "a.png"]
    assert truth.labels.tolist() == [2, 0]
    assert (truth.where, list(truth.names)) == (str(tmp_path / "val.txt"), [])


def test_without_a_list_the_folders_name_the_classes(tmp_path):
    images = make_images(tmp_path, f"{WNIDS[2]}/a.png", f"{WNIDS[0]}/b.png", f"{WNIDS[2]}/c.png")
    truth = open_truth(images)
    assert keys(truth) == [f"{WNIDS[0]}/b.png", f"{WNIDS[2]}/a.png", f"{WNIDS[2]}/c.png"]
    assert truth.labels.tolist() == [0, 1, 1]
    assert list(truth.names) == [WNIDS[0], WNIDS[2]]
    synsets = write(tmp_path / "synsets.txt", *(f"{wnid} word" for wnid in WNIDS))
    assert open_truth(images, synsets=synsets).labels.tolist() == [0, 2, 2]


def test_the_devkits_ids_go_to_the_files_in_the_order_of_their_names(tmp_path):
    images = make_images(tmp_path, "y/1.png", "x/2.png", "y/3.png")
    ids = write(tmp_path / "truth.txt", 1, 3, 2)
    devkit = write(tmp_path / "devkit.txt", WNIDS[1], WNIDS[0], WNIDS[2])
    synsets = write(tmp_path / "synsets.txt", *WNIDS)
    truth = open_truth(images, ids, synsets, devkit)
    assert keys(truth) == ["y/1.png", "x/2.png", "y/3.png"]
    assert truth.labels.tolist() == [1, 2, 0]
    assert [truth.source.label(index) for index in range(3)] == [1, 2, 0]


def test_without_the_networks_order_it_is_that_of_sorted_wnids(tmp_path):
    images = make_images(tmp_path, "1.png")
    devkit = write(tmp_path / "devkit.txt", f"{WNIDS[1]} two", f"{WNIDS[0]} one")
    truth = open_truth(images, write(tmp_path / "truth.txt", 1), devkit=devkit)
    assert truth.labels.tolist() == [1]
    assert list(truth.names) == [f"{WNIDS[0]} one", f"{WNIDS[1]} two"]


def test_ids_for_another_number_of_images(tmp_path):
    images = make_images(tmp_path, "1.png", "2.png")
    devkit = write(tmp_path / "devkit.txt", *WNIDS)
    with pytest.raises(DataError, match=r"images: 2 images, but .*truth\.txt has 1"):
        open_truth(images, write(tmp_path / "truth.txt", 1), devkit=devkit)


def test_the_blacklist_counts_files_by_name_or_by_their_ilsvrc_numbers(tmp_path):
    labels = write(tmp_path / "val.txt", "b.png 0", "a.png 1", "c.png 2")
    blacklist = write(tmp_path / "black.txt", 1, 3)
    truth = open_truth(make_images(tmp_path, "a.png", "b.png", "c.png"), labels, blacklist=blacklist)
    assert truth.left_out == {1, 2}  # a.png and c.png
    names = [f"ILSVRC2012_val_{number:08}.JPEG" for number in (3, 7)]
    labels = write(tmp_path / "ilsvrc.txt", f"{names[1]} 0", f"{names[0]} 1")
    truth = open_truth(make_images(tmp_path / "ilsvrc", *names), labels, blacklist=blacklist)
    assert truth.left_out == {1}


def some(count):
    return FolderSource(Path(), tuple(f"{number}.png" for number in range(count)))


def test_labels_must_be_classes_of_the_network():
    truth = Truth(some(2), np.array([0, 2]), "val.txt", SYNSETS)
    truth.check(3)
    with pytest.raises(DataError, match=r"val\.txt: labels run from 0 to 2, expected 0 to 1"):
        truth.check(2)
    with pytest.raises(DataError, match=r"synset_words\.txt: 3 classes, but the network has 4"):
        truth.check(4)


def test_a_diagnosis_takes_ten_images():
    labels = np.tile([0, 1, 2], 4)
    guesses = np.stack([(labels + 1) % 3, labels], axis=1)  # right in the second place
    truth = Truth(some(12), labels, "val.txt", SYNSETS)
    assert truth.diagnosis(guesses[:9], np.arange(9), 3) is None
    assert "top-1 accuracy 0.00%" in truth.diagnosis(guesses, np.arange(12), 3)
    assert truth.diagnosis(guesses[:, ::-1], np.arange(12), 3) is None


def test_labels_of_a_source_that_knows_them():
    assert own_labels(with_labels(some(3), [2, 0, 1])).tolist() == [2, 0, 1]
    with pytest.raises(DataError, match=r"0\.png: the image has no label"):
        own_labels(some(1))
