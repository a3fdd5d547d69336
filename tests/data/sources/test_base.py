"""Choosing, ordering and labelling the images of any source."""

import tarfile
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from source_files import folder_of

from vggrepro.data.sources import (
    Source,
    alphabetical,
    listed,
    open_images,
    select,
    with_labels,
)
from vggrepro.data.sources.base import HEADER_BYTES, is_image_name
from vggrepro.errors import DataError, ImageTooLargeError

GOLDEN = Path(__file__).parents[2] / "golden"
DEMO = Path(str(resources.files("vggrepro.demo")))


def test_lmdb_of_bare_grey_images_gives_no_colour():
    source = open_images(GOLDEN / "lmdb" / "grey_lmdb")
    with pytest.raises(DataError, match="stored with 1 channels, 3 are needed"):
        source.decoded(0)


def test_list_orders_and_labels_a_source(tmp_path):
    source = open_images(folder_of(tmp_path, ["a.jpg", "b.jpg", "c.jpg"]))
    view = listed(source, [("c.jpg", 7), ("a.jpg", 5)], "list")
    assert [(view.key(i), view.label(i), view.read(i)) for i in range(2)] == [
        ("c.jpg", 7, b"c.jpg"),
        ("a.jpg", 5, b"a.jpg"),
    ]
    part = select(view, [1])
    assert (len(part), part.key(0), part.label(0)) == (1, "a.jpg", 5)


def test_list_finds_images_one_folder_deeper(tmp_path):
    source = open_images(folder_of(tmp_path, ["val/n1/a.jpg", "val/n2/b.jpg"]))
    view = listed(source, [("b.jpg", 1), ("x/a.jpg", 0)], "list")
    assert [view.key(i) for i in range(2)] == ["val/n2/b.jpg", "val/n1/a.jpg"]


def test_one_image_never_stands_for_two_of_the_list(tmp_path):
    source = open_images(folder_of(tmp_path, ["a/1.jpg", "a/2.jpg"]))
    with pytest.raises(DataError, match=r"list: 1 of 2 images are not in .*: b/1\.jpg"):
        listed(source, [("a/1.jpg", 0), ("b/1.jpg", 1)], "list")


def test_ambiguous_names_are_missing(tmp_path):
    source = open_images(folder_of(tmp_path, ["a/1.jpg", "b/1.jpg"]))
    with pytest.raises(DataError, match=r"list: 1 of 1 images are not in .*: 1\.jpg"):
        listed(source, [("1.jpg", 0)], "list")


def test_alphabetical_order_is_of_file_names_whatever_folders_they_are_in(tmp_path):
    source = open_images(folder_of(tmp_path, ["n2/a.jpg", "n1/c.jpg", "n3/b.jpg"]))
    assert [source.key(i) for i in alphabetical(source)] == ["n2/a.jpg", "n3/b.jpg", "n1/c.jpg"]


def test_labels_need_one_for_each_image():
    source = open_images(DEMO / "img_val.tar")
    assert with_labels(source, range(500)).label(499) == 499
    with pytest.raises(DataError, match="500 images, but 3 labels"):
        with_labels(source, [1, 2, 3])


class Bare(Source):
    """One image that is stored as pixels (2, 3, channels)."""

    name = "bare"

    def __init__(self, channels: int) -> None:
        self.pixels = np.arange(6 * channels, dtype=np.uint8).reshape(2, 3, channels)

    def __len__(self) -> int:
        return 1

    def key(self, index: int) -> str:
        return f"n1/{index}"

    def read(self, index: int) -> np.ndarray:
        return self.pixels


def test_bare_pixels_are_given_as_they_are():
    for source, grey in ((Bare(3), False), (Bare(1), True)):
        decoded = source.decoded(0, grey=grey)
        assert_array_equal(decoded.pixels, source.pixels)
        assert not decoded.truncated
    with pytest.raises(DataError, match=r"^bare: n1/0: stored with 3 channels, 1 are needed$"):
        Bare(3).decoded(0, grey=True)
    with pytest.raises(ImageTooLargeError, match=r"^bare: n1/0: an image .*expected at most 5"):
        Bare(3).decoded(0, max_pixels=5)


def test_a_selection_of_a_selection_keeps_what_it_was_given():
    labelled = with_labels(Bare(3), [7])
    part = select(select(labelled, [0, 0]), [1])
    assert (len(part), part.label(0), part.key(0)) == (1, 7, "n1/0")
    assert (part.name, part.place(0)) == ("bare", "bare: n1/0")
    assert Bare(3).label(0) is None


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("a.JPEG", True),
        ("n1/a.tiff", True),
        (".a.jpg", False),
        ("n1/.a.jpg", False),
        ("a.txt", False),
        ("jpg", False),
    ],
)
def test_what_counts_as_an_image(name, image):
    assert is_image_name(name) is image


def test_sizes_are_told_without_reading_whole_files(tmp_path):
    rng = np.random.default_rng(0)
    for name, size in (("a.png", (200, 190)), ("b.jpg", (20, 30))):
        cv2.imwrite(str(tmp_path / name), rng.integers(0, 256, (*size, 3), np.uint8))
    (tmp_path / "c.png").write_bytes(b"no picture")
    with tarfile.open(tmp_path / "images.tar", "w") as tar:
        for name in ("a.png", "b.jpg", "c.png"):
            tar.add(tmp_path / name, name)
    folder, tar = open_images(tmp_path), open_images(tmp_path / "images.tar")
    for source in (folder, tar, select(folder, [0, 1, 2])):
        assert [source.declared_size(index) for index in range(3)] == [(200, 190), (20, 30), None]
        assert len(source.beginning(0)) == HEADER_BYTES < len(source.read(0))
        assert source.beginning(1) == source.read(1)
    (tmp_path / "b.jpg").unlink()
    assert folder.declared_size(1) is None
