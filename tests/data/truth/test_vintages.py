"""The same ground truth in the layouts of every year's devkit, of Caffe and of Kaggle."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vggrepro.data.truth.ground_truth import Truth, open_truth, open_unlabelled
from vggrepro.errors import DataError

WNIDS = tuple(f"n{number:08d}" for number in (3, 11, 25, 41, 77))
"""Sorted, as a network's classes are."""
BY_ID = (3, 0, 4, 1, 2)
"""The place among the sorted classes of the devkit's ids 1 to 5."""
LABELS = (1, 1, 4, 0, 3, 2, 2)
"""The class of images 1 to 7."""


def image(number: int) -> str:
    return f"ILSVRC2012_val_{number:08}.JPEG"


def write(path: Path, *lines: object) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def ids(folder: Path) -> Path:
    """The devkit's ground truth."""
    return write(folder / "validation_ground_truth.txt", *(BY_ID.index(label) + 1 for label in LABELS))


def meta(folder: Path, field: str, *, hierarchy: bool) -> Path:
    """meta.mat with the inner nodes of the hierarchy, as in 2012, or meta_clsloc.mat without."""
    io = pytest.importorskip("scipy.io")
    leaves = [(number, WNIDS[place], f"class {place}", 0) for number, place in enumerate(BY_ID, 1)]
    if hierarchy:
        types = [(field, "f8"), ("WNID", "O"), ("words", "O"), ("num_children", "f8")]
        rows = [*leaves, (6, "n99999999", "an inner node", 5)]
    else:
        types = [(field, "f8"), ("WNID", "O"), ("name", "O")]
        rows = [leaf[:3] for leaf in leaves]
    path = folder / "meta.mat"
    io.savemat(path, {"synsets": np.array(rows, dtype=types)[None]})
    return path


def devkit_2012(folder: Path) -> dict[str, Path]:
    return {"labels": ids(folder), "devkit": meta(folder, "ILSVRC2012_ID", hierarchy=True)}


def devkit_2014(folder: Path) -> dict[str, Path]:
    return {"labels": ids(folder), "devkit": meta(folder, "ILSVRC2014_ID", hierarchy=False)}


def devkit_2015(folder: Path) -> dict[str, Path]:
    return {"labels": ids(folder), "devkit": meta(folder, "ILSVRC2015_CLSLOC_ID", hierarchy=False)}


def devkit_map(folder: Path) -> dict[str, Path]:
    lines = [f"{wnid} {BY_ID.index(place) + 1} class_{place}" for place, wnid in enumerate(WNIDS)]
    return {"labels": ids(folder), "devkit": write(folder / "map_clsloc.txt", *lines)}


def caffe(folder: Path) -> dict[str, Path]:
    lines = [f"{image(number)} {label}" for number, label in enumerate(LABELS, 1)]
    return {"labels": write(folder / "val.txt", *lines)}


def kaggle(folder: Path) -> dict[str, Path]:
    lines = [f"{image(n).partition('.')[0]},{WNIDS[label]} 1 2 3 4 " for n, label in enumerate(LABELS, 1)]
    names = [f"{wnid} class {place}" for place, wnid in enumerate(WNIDS)]
    mapping = write(folder / "LOC_synset_mapping.txt", *names)
    solution = write(folder / "LOC_val_solution.csv", "ImageId,PredictionString", *reversed(lines))
    return {"labels": solution, "synsets": mapping}


VINTAGES = (devkit_2012, devkit_2014, devkit_2015, devkit_map, caffe, kaggle)


def make_images(folder: Path, numbers: range | tuple[int, ...]) -> Path:
    (folder / "images").mkdir()
    for number in numbers:
        (folder / "images" / image(number)).write_bytes(b"")
    return folder / "images"


def found(truth: Truth) -> dict[str, int]:
    return {truth.source.key(place): int(label) for place, label in enumerate(truth.labels)}


@pytest.mark.parametrize("vintage", VINTAGES)
def test_every_vintage_gives_the_same_labels(
    tmp_path: Path, vintage: Callable[[Path], dict[str, Path]]
) -> None:
    images = make_images(tmp_path, range(1, 8))
    truth = open_truth(images, **vintage(tmp_path))
    assert found(truth) == {image(number): label for number, label in enumerate(LABELS, 1)}
    assert truth.notices == ()


def test_a_list_of_some_of_the_images(tmp_path: Path) -> None:
    labels = write(tmp_path / "some.txt", f"{image(6)} 2", f"{image(2)} 1")
    truth = open_truth(make_images(tmp_path, range(1, 8)), labels)
    assert found(truth) == {image(6): 2, image(2): 1}


def test_a_tar_of_test_images_has_no_labels(tmp_path: Path) -> None:
    folder = make_images(tmp_path, (3, 1))
    with tarfile.open(tmp_path / "ILSVRC2012_img_test.tar", "w") as tar:
        for path in folder.iterdir():
            tar.add(path, f"test/{path.name.replace('val', 'test')}")
    names = write(tmp_path / "synset_words.txt", *WNIDS)
    truth = open_unlabelled(tmp_path / "ILSVRC2012_img_test.tar", names)
    assert (truth.labelled, truth.labels.tolist(), len(truth.names)) == (False, [-1, -1], 5)
    truth.check(5)
    with pytest.raises(DataError, match=r"test\.tar: all images lie in 'test', which is no WNID"):
        open_truth(tmp_path / "ILSVRC2012_img_test.tar")


@pytest.mark.parametrize("vintage", [devkit_2012, devkit_map, kaggle])
def test_some_of_the_images(tmp_path: Path, vintage: Callable[[Path], dict[str, Path]]) -> None:
    images = make_images(tmp_path, (2, 3, 6))
    truth = open_truth(images, **vintage(tmp_path))
    assert found(truth) == {image(2): 1, image(3): 4, image(6): 2}
    (notice,) = truth.notices
    assert notice.startswith("3 of the 7 images that ")


@pytest.mark.parametrize("vintage", [devkit_map, kaggle])
def test_an_image_that_the_ground_truth_lacks(
    tmp_path: Path, vintage: Callable[[Path], dict[str, Path]]
) -> None:
    with pytest.raises(DataError, match=rf"{image(9)}: .* has"):
        open_truth(make_images(tmp_path, (2, 9)), **vintage(tmp_path))


def test_a_map_with_a_gap(tmp_path: Path) -> None:
    devkit = write(tmp_path / "map_clsloc.txt", f"{WNIDS[0]} 1 a", f"{WNIDS[1]} 3 b")
    with pytest.raises(DataError, match=r"map_clsloc\.txt: the ids of the 2 classes are not 1 to 2"):
        open_truth(make_images(tmp_path, (1,)), ids(tmp_path), devkit=devkit)


def named_folders(folder: Path) -> Path:
    for key in ("tiger cat/1.png", "ant/2.png", "tiger cat/3.png"):
        path = folder / "images" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return folder / "images"


def test_folders_that_are_named_by_class(tmp_path: Path) -> None:
    images = named_folders(tmp_path)
    truth = open_truth(images)
    assert found(truth) == {"tiger cat/1.png": 1, "ant/2.png": 0, "tiger cat/3.png": 1}
    assert list(truth.names) == ["ant", "tiger cat"]
    names = write(tmp_path / "labels.txt", "tiger cat", "ant", "zebra")
    truth = open_truth(images, synsets=names)
    assert found(truth) == {"tiger cat/1.png": 0, "ant/2.png": 1, "tiger cat/3.png": 0}
    with pytest.raises(DataError, match=r"class ant is not among those of .*labels\.txt"):
        open_truth(images, synsets=write(tmp_path / "labels.txt", "tiger cat", "zebra"))


def test_names_that_two_classes_share(tmp_path: Path) -> None:
    images = named_folders(tmp_path)
    names = write(tmp_path / "labels.txt", "crane", "tiger cat", "crane", "ant")
    assert found(open_truth(images, synsets=names))["ant/2.png"] == 3
    names = write(tmp_path / "labels.txt", "ant", "tiger cat", "ant")
    with pytest.raises(DataError, match="class ant could be any of several"):
        open_truth(images, synsets=names)
    truth = open_truth(images, write(tmp_path / "val.txt", *(f"ant/2.png {n % 3}" for n in range(12))), names)
    assert truth.diagnosis(np.zeros((12, 5), np.int64) + 7, np.arange(12), 30) is not None


def test_images_without_any_class(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no class can be told from the path"):
        open_truth(make_images(tmp_path, (1,)))
