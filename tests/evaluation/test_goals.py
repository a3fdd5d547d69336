"""What an evaluation is to find out, and what is expected of it."""

import pytest

from vggrepro.errors import ProtocolError
from vggrepro.evaluation.goals import (
    EvaluationPlan,
    Expectation,
    Goal,
    parse_expectation,
    row_goals,
    row_members,
)
from vggrepro.evaluation.metrics import ErrorRate, TopErrors
from vggrepro.evaluation.protocols import AFTER, BEFORE, Member
from vggrepro.paper.rows import find_row
from vggrepro.paper.tables import table


def row(number, key):
    return next(r for r in table(number) if r.key == key)


def test_multi_crop_is_150_views_over_three_scales():
    (member,) = row_members(row(5, "E:multicrop"))
    assert member.view_count == 150


def test_a_rows_members_are_its_nets_with_flips():
    assert row_members(find_row(6, "ensemble-2"), average=AFTER) == tuple(
        Member(f"{config}:256;512", "both", (256, 384, 512), flip=True, average=AFTER) for config in "DE"
    )


def test_a_rows_goal_expects_the_papers_errors():
    (goal,) = row_goals([find_row(3, "D:384")], BEFORE)
    assert goal.name == "table 3, D:384"
    assert goal.members == (Member("D:384", "dense", (384,), flip=True),)
    assert goal.expectation == Expectation("paper", 26.8, 8.7)


def found(wrong1, wrong5):
    return TopErrors(ErrorRate(wrong1, 1000), ErrorRate(wrong5, 1000))


def test_both_errors_must_be_within_the_tolerance():
    wanted = Expectation("paper", 24.4, 8.1)
    assert 24.6 - 24.4 > 0.2  # as floats; in decimals both errors are off by exactly 0.2
    assert wanted.met(found(246, 79), 0.2)
    assert not wanted.met(found(247, 81), 0.2)
    assert not wanted.met(found(244, 78), 0.2)
    assert Expectation("paper", None, 8.1).met(found(900, 81), 0.0)


def test_an_expectation_from_the_command_line():
    assert parse_expectation("25.6,8.1") == Expectation("--expect", 25.6, 8.1)


@pytest.mark.parametrize("text", ["25.6", "25.6,8.1,3", "a,b", ""])
def test_what_is_no_expectation(text):
    with pytest.raises(ProtocolError, match="expected paper, or two errors in percent"):
        parse_expectation(text)


def test_a_plan_measures_every_stream_once():
    one = Goal("one", (Member("a", "dense", (1, 2), flip=False),))
    two = Goal("two", (Member("a", "both", (2,), flip=False), Member("b", "centre", (1,), flip=True)))
    assert list(map(str, EvaluationPlan([one, two], []).streams)) == [
        "a dense Q1 noflip",
        "a dense Q2 noflip",
        "a grid Q2 noflip",
        "b centre Q1 noflip",
        "b centre Q1 flip",
    ]
