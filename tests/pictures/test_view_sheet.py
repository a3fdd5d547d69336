"""The views of an image: whole ones as they are, frames on the outermost pixels of every crop."""

from __future__ import annotations

import numpy as np
import pytest

from vggrepro.data.preprocess import rescale
from vggrepro.errors import DataError
from vggrepro.evaluation.measuring.rescaled_image import RescaledImage
from vggrepro.evaluation.protocols import Stream
from vggrepro.pictures.view_sheet import FRAMES, framed_views, view_sheet

CROP = 40


@pytest.fixture(scope="module")
def image() -> RescaledImage:
    """Grey levels below those of any frame, at two scales; the margins are odd."""
    pixels = np.random.default_rng(0).integers(0, 60, (70, 100, 3), dtype=np.uint8)
    return RescaledImage({q: rescale(pixels, q) for q in (47, 61)}, "floor", truncated=False)


def borders(shape: tuple[int, ...], corners: list[tuple[int, int]]) -> np.ndarray:
    """Where frames of crops with these tops and lefts must be."""
    mask = np.zeros(shape[:2], bool)
    for top, left in corners:
        square = np.ones((CROP, CROP), bool)
        square[1:-1, 1:-1] = False
        mask[top : top + CROP, left : left + CROP] |= square
    return mask


def is_frame(pixels: np.ndarray) -> np.ndarray:
    return np.any([(pixels == colour).all(axis=2) for colour in FRAMES], axis=0)


def corners(kind: str, height: int, width: int) -> list[tuple[int, int]]:
    """The offsets, worked out here: a 5 x 5 grid, corners and centre, centre."""
    down, right = height - CROP, width - CROP
    centre = (down // 2, right // 2)
    if kind == "grid":
        return [(round(i * down / 4), round(j * right / 4)) for i in range(5) for j in range(5)]
    return [(0, 0), (0, right), (down, 0), (down, right), centre] if kind == "five" else [centre]


@pytest.mark.parametrize("kind", ["grid", "five", "centre"])
@pytest.mark.parametrize("scale", [47, 61])
@pytest.mark.parametrize("flip", [False, True])
def test_frames_are_where_the_crops_are_cut(image: RescaledImage, kind: str, scale: int, flip: bool) -> None:
    stream = Stream("net", kind, scale, flip)
    plain = image.pixels[scale]
    drawn = framed_views(image, stream, CROP)
    mask = borders(plain.shape, corners(kind, *plain.shape[:2]))
    shown = plain
    if flip:
        mask, shown = mask[:, ::-1], plain[:, ::-1]
    assert (is_frame(drawn) == mask).all()
    assert (drawn[~mask] == shown[~mask]).all()


def test_the_views_of_a_stream_lie_within_their_frames(image: RescaledImage) -> None:
    """What the evaluation cuts is what is within a frame, number by number."""
    for flip in (False, True):
        stream = Stream("net", "five", 61, flip)
        drawn = framed_views(image, stream, CROP)
        view = image.view(stream, 4, CROP)  # the centre, drawn last
        height, width = drawn.shape[:2]
        top, left = (height - CROP) // 2, (width - CROP) // 2
        left = width - CROP - left if flip else left
        inner = drawn[top + 1 : top + CROP - 1, left + 1 : left + CROP - 1]
        plain = ~is_frame(inner)
        assert plain.sum() > inner.size / 6
        assert (inner[plain] == view[1:-1, 1:-1][plain]).all()
        assert (drawn[top, left : left + CROP] == FRAMES[4]).all()


def test_a_sheet_has_every_protocol(image: RescaledImage) -> None:
    made = view_sheet(image, CROP)
    assert [len(places) for places in made.places] == [4, 4, 4, 4]
    streams = [Stream("net", "dense", scale, flip) for scale in (47, 61) for flip in (False, True)]
    shown = [image.view(stream, 0, CROP) for stream in streams]
    shown += [framed_views(image, Stream("net", kind, scale, flip), CROP)
              for kind in ("grid", "five") for scale in (47, 61) for flip in (False, True)]  # fmt: skip
    centres = [Stream("net", "centre", scale, False) for scale in (47, 61)]
    shown += [framed_views(image, stream, CROP) for stream in centres]
    shown += [image.view(stream, 0, CROP) for stream in centres]
    for tile, (top, left) in zip(shown, [p for row in made.places for p in row], strict=True):
        assert (made.pixels[top : top + tile.shape[0], left : left + tile.shape[1]] == tile).all()


def test_an_image_that_is_smaller_than_the_crop(image: RescaledImage) -> None:
    with pytest.raises(DataError, match="smaller than a crop of 50"):
        view_sheet(image, 50)
