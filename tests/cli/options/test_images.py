"""Which images are read, and how."""

from __future__ import annotations

from pathlib import Path

import pytest

from vggrepro.cli.options.images import Decoding, ListedImages, Sample, warn_of_bad_images
from vggrepro.errors import DataError, ImageTooLargeError


def test_images_of_a_list_in_its_order(images: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("val_002.png 5\nval_000.png 1\n")
    source = ListedImages(images / "images", tmp_path / "list.txt").open()
    assert [source.key(i) for i in range(len(source))] == ["val_002.png", "val_000.png"]
    assert [source.label(i) for i in range(2)] == [5, 1]
    assert len(ListedImages(images / "images").open()) == 23


def test_a_sample(images: Path) -> None:
    source = ListedImages(images / "images").open()
    assert Sample().of(source) is source
    drawn = [[s.key(i) for i in range(5)] for s in (Sample(5, seed).of(source) for seed in (1, 1, 2))]
    assert drawn[0] == drawn[1] != drawn[2]


def test_bad_images_end_the_run_or_are_named(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (images / "images" / "val_000.png").write_bytes(b"no picture")
    source = ListedImages(images / "images").open()
    with pytest.raises(DataError, match=r"val_000\.png"):
        Decoding().reader(source).pixels(0)
    reader = Decoding(on_bad_image="skip").reader(source)
    warn_of_bad_images(reader.bad)
    assert capsys.readouterr().err == ""
    assert reader.pixels(0) is None
    warn_of_bad_images(reader.bad)
    assert capsys.readouterr().err == "warning: 1 unreadable images left out (val_000.png, ...)\n"


def test_an_image_of_more_pixels_than_the_option_says(images: Path) -> None:
    source = ListedImages(images / "images").open()
    with pytest.raises(ImageTooLargeError, match=r"val_000\.png: a PNG has .* pixels, expected at most 10$"):
        Decoding(max_pixels=10).reader(source).pixels(0)
