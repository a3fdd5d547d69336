"""Small pictures inside the report's page."""

import base64

import cv2
import numpy as np
import pytest

from vggrepro.data.sources import FolderSource
from vggrepro.evaluation.reporting.thumbnails import thumbnails


@pytest.mark.parametrize(
    ("size", "shown"), [((300, 600), (128, 256)), ((1000, 500), (256, 128)), ((20, 30), (20, 30))]
)
def test_pictures_are_made_smaller_and_never_larger(tmp_path, size, shown):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((*size, 3), (200, 100, 50), np.uint8))
    found = thumbnails(FolderSource(tmp_path, ("none.png", "a.png")), [1], "ignore")
    assert list(found) == [1]
    head, _, data = found[1].partition(",")
    assert head == "data:image/jpeg;base64"
    pixels = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    assert pixels.shape[:2] == shown
    assert np.abs(pixels.astype(int) - (200, 100, 50)).max() <= 3
