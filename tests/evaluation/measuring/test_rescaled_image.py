"""An image at several scales, and the views that streams ask for."""

import cv2
import numpy as np
import pytest

from vggrepro.data.sources import FolderSource
from vggrepro.errors import DataError
from vggrepro.evaluation.measuring.rescaled_image import (
    ImageReading,
    RescaledImage,
    offsets,
    read_in_ways,
    read_rescaled,
)
from vggrepro.evaluation.protocols import Stream

CROP = 4
PIXELS = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
IMAGE = RescaledImage({7: PIXELS}, "floor", truncated=False)


def stream(kind, *, flip=False):
    return Stream("net", kind, 7, flip)


def test_crops_have_the_size_of_the_input_and_whole_images_their_own():
    for kind in ("centre", "five", "grid"):
        assert IMAGE.size(stream(kind), CROP) == (4, 4)
    assert IMAGE.size(stream("dense"), CROP) == (7, 9)


@pytest.mark.parametrize(
    ("kind", "number", "top", "left"),
    [
        ("centre", 0, 1, 2),
        ("five", 0, 0, 0),
        ("five", 3, 3, 5),
        ("five", 4, 1, 2),
        ("grid", 0, 0, 0),
        ("grid", 6, 1, 1),
        ("grid", 24, 3, 5),
    ],
)
def test_a_view_is_the_crop_at_its_offset(kind, number, top, left):
    expected = PIXELS[top : top + CROP, left : left + CROP]
    assert np.array_equal(IMAGE.view(stream(kind), number, CROP), expected)
    assert np.array_equal(IMAGE.view(stream(kind, flip=True), number, CROP), expected[:, ::-1])


def test_the_dense_view_is_the_whole_image():
    assert np.array_equal(IMAGE.view(stream("dense"), 0, CROP), PIXELS)
    assert np.array_equal(IMAGE.view(stream("dense", flip=True), 0, CROP), PIXELS[:, ::-1])


def test_views_share_the_memory_of_the_image():
    assert all(np.shares_memory(IMAGE.view(stream("grid", flip=f), 7, CROP), PIXELS) for f in (False, True))


def test_the_centre_of_an_odd_margin_is_a_choice():
    assert offsets("centre", PIXELS, CROP, "floor") == ((1, 2),)
    assert offsets("centre", PIXELS, CROP, "matcaffe") == ((2, 3),)


def test_an_image_is_read_at_every_scale(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), PIXELS)
    source = FolderSource(tmp_path, ("a.png",))
    found = read_rescaled(source, 0, [7, 14], ImageReading(kernel="cubic", centre="matcaffe"))
    assert np.array_equal(found.pixels[7], PIXELS)
    assert np.array_equal(found.pixels[14], cv2.resize(PIXELS, (18, 14), interpolation=cv2.INTER_CUBIC))
    assert (found.centre, found.truncated) == ("matcaffe", False)
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"a\.png"):
        read_rescaled(source, 0, [7], ImageReading())


def test_one_decoded_image_serves_every_kernel_and_scale(tmp_path, monkeypatch):
    cv2.imwrite(str(tmp_path / "a.png"), PIXELS)
    source, asked = FolderSource(tmp_path, ("a.png",)), []
    decoded = FolderSource.decoded
    monkeypatch.setattr(
        FolderSource, "decoded", lambda *a, exif, **k: asked.append(exif) or decoded(*a, exif=exif, **k)
    )
    ways = {
        (): [14],
        (("kernel", "area"),): [14, 21],
        (("centre", "matcaffe"),): [14],
        (("exif", "apply"),): [7],
    }
    found = read_in_ways(source, 0, ways, ImageReading(kernel="cubic"))
    assert asked == ["ignore", "apply"]
    for changes, scales in ways.items():
        alone = read_rescaled(source, 0, scales, ImageReading(kernel="cubic").changed(changes))
        assert found[changes].centre == alone.centre
        assert all(np.array_equal(found[changes].pixels[q], alone.pixels[q]) for q in scales)
    assert found[()].pixels[14] is found[(("centre", "matcaffe"),)].pixels[14]


def test_matlabs_kernel_keeps_fractions_and_overshoot(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.kron([[0, 255], [255, 0]], np.ones((5, 6))))
    found = read_rescaled(FolderSource(tmp_path, ("a.png",)), 0, [10, 7], ImageReading(kernel="matlab"))
    assert {q: (p.shape, p.dtype) for q, p in found.pixels.items()} == {
        10: ((10, 12, 3), np.float32),
        7: ((7, 9, 3), np.float32),
    }
    assert found.pixels[7].min() < -5
    assert found.pixels[7].max() > 260
    assert (found.pixels[7] % 1).any()


def test_the_choices_of_reading_as_facts():
    assert ImageReading("apply", "matlab", "matcaffe").facts() == {
        "exif": "apply",
        "kernel": "matlab",
        "centre": "matcaffe",
        "rescaled": "float32",
    }
