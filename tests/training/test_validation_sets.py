"""What nets are tested on: every image once, on any number of ranks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from validation_case import MEAN, contents, image_test, solver_and_test, validation

from vggrepro.data.preprocess import centre_offset, cut, rescale, to_blob
from vggrepro.data.sources import Source, open_images, select, with_labels
from vggrepro.data.truth.labels import labels_by_folder
from vggrepro.errors import DataError
from vggrepro.runtime.device_array import DeviceView
from vggrepro.system.ranks import Alone
from vggrepro.training.validation_sets import ValidationBatch


def centre(source: Source, index: int) -> np.ndarray:
    pixels = rescale(source.decoded(index).pixels, 10)
    return cut(pixels, centre_offset(*pixels.shape[:2], 8), 8)


def test_every_validation_image_once(tmp_path: Path) -> None:
    """12 images in batches of 5: the last of 2, each weighted by its images."""
    _, net = solver_and_test(tmp_path)
    source = validation(tmp_path / "val")
    test = image_test(net, source)
    assert test.count == 3
    portions = []
    for portion in test.batches(Alone()):
        data = portion.feeds["data"]
        assert isinstance(data, DeviceView)
        portions.append((portion.samples, contents(data).copy(), portion.feeds["label"]))
    assert [samples for samples, _, _ in portions] == [5, 5, 2]
    images = np.concatenate([data for _, data, _ in portions])
    np.testing.assert_array_equal(images, to_blob(np.stack([centre(source, i) for i in range(12)]), MEAN))
    np.testing.assert_array_equal(
        np.concatenate([labels for _, _, labels in portions]), [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    )


def test_bad_images_are_left_out_of_the_mean(tmp_path: Path) -> None:
    _, net = solver_and_test(tmp_path)
    source = validation(tmp_path / "val")
    scores = net.score(image_test(net, select(source, range(12))), Alone(), lambda: False)
    bad = tmp_path / "val" / "n00000000" / "n00000000_9.png"
    bad.write_bytes(b"no picture")
    labels, _ = labels_by_folder(sorted(p.name for p in bad.parent.parent.rglob("*.png")), None, "x")
    again = with_labels(open_images(tmp_path / "val"), labels)
    assert len(again) == 13
    with pytest.raises(DataError, match="n00000000_9"):
        net.score(image_test(net, again), Alone(), lambda: False)
    assert net.score(image_test(net, again, "skip"), Alone(), lambda: False) == pytest.approx(
        scores, rel=1e-6
    )


def test_a_label_that_is_no_class(tmp_path: Path) -> None:
    _, net = solver_and_test(tmp_path)
    source = with_labels(validation(tmp_path / "val"), [4] * 12)
    with pytest.raises(DataError, match="labels run from 4 to 4, expected 0 to 3"):
        net.score(image_test(net, source), Alone(), lambda: False)


def test_portions_of_ranks_are_disjoint_and_complete(tmp_path: Path) -> None:
    _, net = solver_and_test(tmp_path)
    test = image_test(net, validation(tmp_path / "val"))
    portions: list[ValidationBatch] = []
    for rank in range(2):
        portions += test.batches(Alone(rank=rank, size=2))
    assert sorted((p.number, p.samples) for p in portions) == [(0, 5), (1, 5), (2, 2)]
