"""Readings beside the run's own and the expected errors."""

import numpy as np
import pytest

from vggrepro.evaluation.goals import Expectation, Goal
from vggrepro.evaluation.measuring.rescaled_image import ImageReading
from vggrepro.evaluation.open_readings import open_readings
from vggrepro.evaluation.protocols import BEFORE, Member
from vggrepro.evaluation.sweep import sweep

MEMBERS = (Member("D", "dense", (8,), flip=False),)
USUAL = np.array([0, 0, 0, 1, 9, 9, 9, 9, 9, 9])  # 70% and 60%


def swept(axes, expectation, ranks):
    goals = [Goal("row", MEMBERS, expectation=expectation)]
    readings = open_readings(axes, ImageReading(), BEFORE)
    return sweep(readings, goals, {"row": USUAL}, lambda members: ranks[str(members[0]).split()[-1]])


def kernels():
    better = np.array([0, 0, 0, 0, 0, 0, 9, 9, 9, 9])
    others = dict.fromkeys(("kernel=cubic", "kernel=area", "kernel=lanczos"), USUAL)
    return {**others, "kernel=matlab": better}


def test_the_nearest_reading_is_named_with_its_distance():
    (found,) = swept(["kernel"], Expectation("paper", 42.0, 40.0), kernels())
    assert [r.reading.value for r in found.readings] == ["linear", "cubic", "area", "lanczos", "matlab"]
    assert [r.distance for r in found.readings] == pytest.approx([24, 24, 24, 24, 1])
    assert found.nearest == ["matlab"]
    assert found.conclusion.startswith(
        "kernel: nearest to the expected errors (paper) is matlab (mean distance"
    )
    assert found.conclusion.endswith("; least p of 8 differences to linear: 0.25")
    row = found.facts()["readings"]["matlab"]["rows"]["row"]
    assert row["top1_difference"] == pytest.approx(-2)
    assert row["against_usual"]["top1"]["only_ours"] == 3
    assert row["against_usual"]["top1"]["difference"] == pytest.approx(-30)
    assert found.facts()["readings"]["linear"]["usual"] is True


def test_readings_that_are_equally_near_are_all_named():
    (found,) = swept(["kernel"], Expectation("paper", 70.0, None), kernels())
    assert found.nearest == ["linear", "cubic", "area", "lanczos"]


def test_without_an_expectation_no_reading_is_nearest():
    (found,) = swept(["kernel"], None, kernels())
    assert found.nearest == []
    assert "nothing is expected of these rows" in found.conclusion
    assert found.facts()["readings"]["matlab"]["mean_distance"] is None


def test_an_axis_that_the_protocol_does_not_know_changes_nothing_and_needs_no_measuring():
    (found,) = swept(["centre"], None, {"centre=matcaffe": USUAL})
    assert found.conclusion == "centre: every reading is right about the same images"
