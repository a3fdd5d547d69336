"""Reading many images in threads, and what is told of those that are damaged."""

from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from damaged_source import Damaged

from vggrepro.data.reading import BadImages, Reader
from vggrepro.data.sources import Source, listed, open_images, select
from vggrepro.data.truth.labels import read_list
from vggrepro.errors import DataError, ImageTooLargeError

DEMO = Path(str(resources.files("vggrepro.demo")))


@pytest.fixture(scope="module")
def demo() -> Source:
    return listed(open_images(DEMO / "img_train.tar"), read_list(DEMO / "train.txt"), "train.txt")


def test_reader_gives_prepared_images_in_order_and_names_the_bad(demo):
    source = Damaged(select(demo, range(30)), unreadable={2}, truncated={5, 6})
    bad = BadImages("skip")
    order = [9, 2, 5, 0, 6]
    results = list(Reader(source, bad).each(order, lambda pixels: pixels.shape, threads=3))
    assert [index for index, _ in results] == [9, 5, 0, 6]
    assert results[0][1] == demo.decoded(9).pixels.shape
    assert list(bad.report()["unreadable"]) == [source.key(2)]
    assert bad.report()["truncated"] == sorted([source.key(5), source.key(6)])
    assert BadImages().summary() is None


class Pictures(Source):
    """Grey squares as (side, side, 3); side 0 is an image that cannot be read."""

    name = "pictures"

    def __init__(self, *sides: int) -> None:
        self.sides = sides

    def __len__(self) -> int:
        return len(self.sides)

    def key(self, index: int) -> str:
        return f"{index}.png"

    def read(self, index: int) -> np.ndarray:
        if self.sides[index] == 0:
            raise DataError(f"{self.place(index)}: gone")
        return np.full((self.sides[index],) * 2 + (3,), index, np.uint8)


def test_an_unreadable_image_ends_a_run_by_default():
    reader = Reader(Pictures(2, 0), BadImages())
    pixels = reader.pixels(0)
    assert pixels is not None
    assert pixels.shape == (2, 2, 3)
    with pytest.raises(DataError, match=r"^pictures: 1\.png: gone$"):
        reader.pixels(1)
    assert reader.bad.report() == {"policy": "error", "unreadable": {}, "truncated": []}


def test_the_bad_images_are_told_by_name_in_order():
    bad = BadImages("skip")
    for key in ("b", "a", "b"):
        bad.unreadable(key, DataError(f"{key}: broken"))
    for key in ("d", "c"):
        bad.truncated(key)
    assert bad.report() == {
        "policy": "skip",
        "unreadable": {"a": "a: broken", "b": "b: broken"},
        "truncated": ["c", "d"],
    }
    assert list(bad.report()["unreadable"]) == ["a", "b"]
    assert bad.summary() == (
        "2 unreadable images left out (a, ...); 2 truncated images used as far as they go (c, ...)"
    )


def test_the_limit_of_pixels_is_the_readers():
    reader = Reader(Pictures(3, 4), BadImages("skip"), max_pixels=9)
    assert reader.pixels(0) is not None
    assert reader.pixels(1) is None
    assert "1.png" in reader.bad.report()["unreadable"]


def too_large(pixels: np.ndarray) -> int:
    if len(pixels) > 3:
        raise ImageTooLargeError("too large once rescaled")
    return len(pixels)


def test_an_image_that_is_too_large_once_prepared_is_named_like_an_unreadable_one():
    source = Pictures(4, 3)
    bad = BadImages("skip")
    assert list(Reader(source, bad).each([0, 1], too_large, threads=1)) == [(1, 3)]
    assert bad.report()["unreadable"] == {"0.png": "pictures: 0.png: too large once rescaled"}
    with pytest.raises(ImageTooLargeError, match=r"^pictures: 0\.png: too large once rescaled$"):
        Reader(source, BadImages()).prepared(0, too_large)


def test_what_is_prepared_may_be_none():
    reader = Reader(Pictures(2, 0), BadImages("skip"))
    assert reader.prepared(0, lambda _: None) == (None,)
    assert reader.prepared(1, lambda _: None) is None
    assert list(reader.each([0, 1], lambda _: None, threads=2)) == [(0, None)]
