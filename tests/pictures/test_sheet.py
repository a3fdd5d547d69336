"""Tiles in rows and grids: every tile's pixels stand where the picture says, and nothing else does."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from vggrepro.errors import ImageTooLargeError
from vggrepro.pictures.sheet import BACKGROUND, Panel, grid, grid_columns, grid_places, sheet, write_png


def tile(height: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_tiles_of_panels_stand_where_the_sheet_says() -> None:
    panels = [Panel("one", (tile(20, 30, 0), tile(40, 10, 1))), Panel("a title \u00e9", (tile(5, 7, 2),))]
    made = sheet(panels)
    covered = np.zeros(made.pixels.shape[:2], int)
    for panel, places in zip(panels, made.places, strict=True):
        for shown, (top, left) in zip(panel.tiles, places, strict=True):
            height, width = shown.shape[:2]
            assert (made.pixels[top : top + height, left : left + width] == shown).all()
            covered[top : top + height, left : left + width] += 1
    assert covered.max() == 1
    (first, second), (third,) = made.places
    assert first[0] == second[0] < third[0] - 40
    assert second[1] >= first[1] + 30


@pytest.mark.parametrize("title", ["t", "a title that is much longer than the tile below it"])
def test_a_title_is_light_on_dark_and_whole(title: str) -> None:
    made = sheet([Panel(title, (tile(5, 7, 0),))])
    (((top, _),),) = made.places
    ink = made.pixels[:top] != BACKGROUND
    assert made.pixels[:top].max() > 180
    assert not ink[:, -4:].any()


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (2, 2), (4, 2), (5, 3), (64, 8), (96, 10)])
def test_a_grid_is_nearly_square(count: int, columns: int) -> None:
    assert grid_columns(count) == columns
    assert len(set(grid_places(count, 3, 4, 1))) == count


def test_a_grid_enlarges_and_keeps_the_order() -> None:
    tiles = np.random.default_rng(0).integers(60, 256, (5, 2, 3, 1), dtype=np.uint8)
    made = grid(tiles, zoom=4, gap=2)
    assert made.shape == (2 + 2 * (8 + 2), 2 + 3 * (12 + 2), 1)
    for number, shown in enumerate(tiles):
        top, left = 2 + number // 3 * 10, 2 + number % 3 * 14
        found = made[top : top + 8, left : left + 12]
        assert (found[::4, ::4] == shown).all()
        assert (found[3::4, 3::4] == shown).all()
    assert (made[12:, 32:] == BACKGROUND).all()  # the sixth place is empty


def test_a_picture_has_a_limit() -> None:
    with pytest.raises(ImageTooLargeError, match="the picture has"):
        grid(np.zeros((4, 100, 100, 1), np.uint8), zoom=200)


def test_a_png_holds_the_pixels(tmp_path: Path) -> None:
    write_png(tmp_path / "x.png", tile(9, 11, 3))
    assert (cv2.imread(str(tmp_path / "x.png")) == tile(9, 11, 3)).all()
