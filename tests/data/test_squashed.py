"""Images that were squashed to squares are recognised."""

import cv2
import numpy as np
import pytest

from vggrepro.data.sources import open_images, select
from vggrepro.data.sources.base import Source
from vggrepro.data.squashed import squashed_notice


def write(folder, sizes):
    for number, (height, width) in enumerate(sizes):
        picture = np.full((height, width, 3), number, np.uint8)
        cv2.imwrite(str(folder / f"{number:03}.png"), picture)
    return open_images(folder)


def test_squares_of_one_size_are_told_with_the_protocol_they_depart_from(tmp_path):
    notice = squashed_notice(write(tmp_path, [(16, 16)] * 40))
    assert notice.startswith(f"{tmp_path}: all 32 images looked at are 16 x 16 pixels")
    assert "keeps the aspect ratio (section 3.2), and squashing lowers accuracy (" in notice
    assert "\n" not in notice


@pytest.mark.parametrize(
    "sizes",
    [[(16, 16)], [(16, 16), (17, 17)], [(16, 12), (16, 12)], [(16, 16)] * 31 + [(16, 12)]],
)
def test_other_images_are_not(tmp_path, sizes):
    assert squashed_notice(write(tmp_path, sizes)) is None


def test_images_that_cannot_be_read_are_passed_over(tmp_path):
    source = write(tmp_path, [(16, 16)] * 3)
    (tmp_path / "001.png").write_bytes(b"no picture")
    assert "all 2 images looked at" in squashed_notice(source)
    (tmp_path / "002.png").unlink()
    assert squashed_notice(source) is None


class Bare(Source):
    """Pixels without a file around them, as an LMDB has them."""

    name = "db"

    def __len__(self):
        return 50_000

    def key(self, index):
        return str(index)

    def read(self, index):
        return np.zeros((256, 256, 3), np.uint8)


def test_bare_pixels_are_looked_at_too():
    assert squashed_notice(Bare()).startswith("db: all 32 images looked at are 256 x 256 pixels")
    assert squashed_notice(select(Bare(), [7, 7])) is not None
