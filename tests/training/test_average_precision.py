"""Average precision by SSD's three rules."""

from __future__ import annotations

import numpy as np
import pytest

from vggrepro.errors import NetError
from vggrepro.training.average_precision import VERSIONS, Detections, average_precision


def walked(judged: list[tuple[float, int, int]], positives: int, version: str) -> float:
    """The definitions, detection by detection."""
    order = sorted(range(len(judged)), key=lambda i: -judged[i][0])
    points, right = [], 0
    for place, index in enumerate(order, 1):
        right += judged[index][1]
        points.append((right / place, np.float32(right) / np.float32(positives)))
    if version == "11point":
        tops = [max((p for p, r in points if float(r) >= j / 10), default=0) for j in range(11)]
        return sum(tops) / 11
    area, last = 0.0, 0.0
    for index, (precision, recall) in enumerate(points):
        best = max(p for p, _ in points[max(index - 1, 0) :])
        area += (precision if version == "Integral" else best) * (recall - last)
        last = recall
    return area


@pytest.mark.parametrize("version", VERSIONS)
def test_average_precisions(version: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        count = int(rng.integers(1, 25))
        right = rng.integers(0, 2, count)
        judged = [(float(rng.integers(0, 8)) / 8, int(r), int(1 - r)) for r in right]
        positives = int(right.sum() + rng.integers(0, 4)) or 1
        got = average_precision(np.array(judged), positives, version)
        assert got == pytest.approx(walked(judged, positives, version), abs=1e-6)


def test_simple_cases() -> None:
    right, wrong = (0.9, 1, 0), (0.8, 0, 1)
    for version in VERSIONS:
        assert average_precision(np.array([right]), 1, version) == pytest.approx(1)
        assert average_precision(np.array([wrong]), 1, version) == 0
        assert average_precision(np.zeros((0, 3)), 4, version) == 0
        assert average_precision(np.array([right]), 0, version) == 0
    both = np.array([right, wrong])
    assert average_precision(both, 2, "Integral") == pytest.approx(0.5)
    assert average_precision(both, 2, "11point") == pytest.approx(6 / 11)


def test_rows_of_several_batches_and_classes() -> None:
    """Class 1 has three right boxes in two batches; a difficult box's row does not count."""
    found = Detections("eval")
    found.add(
        np.array([[-1, 1, 2, -1, -1], [-1, 2, 0, -1, -1], [0, 1, 0.9, 1, 0], [0, 1, 0.3, 0, 1], [-1] * 5])[
            None, None
        ]
    )
    found.add(
        np.array([[-1, 1, 1, -1, -1], [-1, 2, 0, -1, -1], [1, 1, 0.5, 1, 0], [1, 1, 0.95, 0, 0]])[None, None]
    )
    averages = found.averages("Integral")
    assert averages == {1: pytest.approx(2 / 3), 2: 0}
    assert found.mean("Integral") == pytest.approx(1 / 3)
    assert Detections("none").mean("Integral") == 0


def test_an_output_of_another_kind_is_refused() -> None:
    with pytest.raises(NetError, match=r"'acc': shape \(\), but the solver's eval_type is detection"):
        Detections("acc").add(np.array(0.5))
