"""What is to be evaluated."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vggrepro.cli.options.evaluation import NetworkOptions, ProtocolOptions, ReadingOptions
from vggrepro.cli.options.goals import GoalOptions
from vggrepro.cli.options.images import Sample
from vggrepro.errors import OptionError, ProtocolError
from vggrepro.evaluation import demo
from vggrepro.evaluation.net_files import NetFiles

NOTHING = GoalOptions(ProtocolOptions(), NetworkOptions(), ReadingOptions(), Sample())
DEMO = replace(NOTHING, demo=True)


def networks(files: list[NetFiles]) -> NetworkOptions:
    return NetworkOptions(
        tuple(f"{net.name}={net.weights}" for net in files),
        tuple(f"{net.name}={net.deploy}" for net in files),
    )


def test_the_demo_is_all_that_caffe_answered() -> None:
    plan = DEMO.plan()
    assert len(plan.goals) == 17
    assert all(goal.expectation is not None for goal in plan.goals)
    assert (plan.files, plan.mean) == ([demo.FILES], demo.mean_bgr())


@pytest.mark.parametrize(
    "options",
    [
        replace(DEMO, sample=Sample(limit=9)),
        replace(DEMO, reading=ReadingOptions(kernel="cubic")),
        replace(DEMO, protocol=ProtocolOptions(average="after-softmax")),
    ],
)
def test_caffe_did_not_answer_for_anything_else(options: GoalOptions) -> None:
    assert {goal.expectation for goal in options.plan().goals} == {None}


def test_one_option_describes_a_protocol_of_the_demo() -> None:
    (goal,) = replace(DEMO, protocol=ProtocolOptions(flip=False)).plan().goals
    assert goal.name == "dense_Q72_noflip"
    (goal,) = replace(DEMO, protocol=ProtocolOptions("tencrop", (70,))).plan().goals
    assert (goal.members[0].protocol, goal.members[0].scales) == ("tencrop", (70,))


def test_networks_are_fused(nets: list[NetFiles]) -> None:
    options = replace(NOTHING, network=networks(nets), protocol=ProtocolOptions(scales=(9, 12)))
    plan = replace(options, score_blob="fc8", expect="25,8").plan()
    (goal,) = plan.goals
    assert [member.net for member in goal.members] == ["one", "two"]
    assert goal.name.startswith("one dense Q=9,12 with flips + two")
    assert goal.expectation is not None
    assert (goal.expectation.top1, goal.expectation.top5, plan.score_blob) == (25, 8, "fc8")


def test_rows_of_a_table() -> None:
    weights = NetworkOptions(("D:256=x", "D:384=y"))
    plan = replace(NOTHING, network=weights, table=(3,), row=("D:384", "D:256"), expect="paper").plan()
    assert [goal.name for goal in plan.goals] == ["table 3, D:384", "table 3, D:256"]
    assert [files.name for files in plan.files] == ["D:384", "D:256"]


def test_several_tables_and_rows_of_them() -> None:
    weights = NetworkOptions(("D:256=x", "D:384=y"))
    plan = replace(NOTHING, network=weights, table=(3, 4), row=("D:256", "D:384")).plan()
    rows = [(goal.row.table, goal.row.key) for goal in plan.goals if goal.row]
    assert rows == [(3, "D:256"), (4, "D:256"), (3, "D:384"), (4, "D:384")]
    with pytest.raises(ProtocolError, match="table 3 has no row 'D:both'"):
        replace(NOTHING, network=weights, table=(3, 4), row=("D:both",)).plan()


def test_all_that_the_published_weights_support() -> None:
    plan = replace(NOTHING, published=("D=x", "E=y")).plan()
    assert [(str(f.name), str(f.weights)) for f in plan.files] == [("D:256;512", "x"), ("E:256;512", "y")]
    tables = [goal.row.table for goal in plan.goals if goal.row]
    assert [tables.count(number) for number in range(3, 8)] == [2, 2, 6, 3, 2]
    alone = replace(NOTHING, published=("E=y",)).plan()
    assert {member.net for goal in alone.goals for member in goal.members} == {"E:256;512"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (replace(NOTHING, published=("C=x",)), "--published C=...: expected D or E"),
        (replace(NOTHING, published=("D=x",), table=(3,)), "--table: --published takes every row"),
        (replace(NOTHING, published=("D=x",), network=NetworkOptions(("D=y",))), "--weights: --published"),
        (replace(NOTHING, published=("D=x", "D=y")), "D:256;512 was given before"),
        (replace(DEMO, table=(3,)), "--table: --demo brings its own"),
        (replace(DEMO, row=("D:256",)), "--row: --demo brings its own"),
        (replace(DEMO, expect="paper"), "--expect paper: expected --table N with it"),
        (replace(DEMO, expect="4,1"), "is for one combination, but 17 are evaluated"),
        (replace(NOTHING, row=("D:256",)), "--row D:256: expected --table N with it"),
        (
            replace(NOTHING, table=(3,), protocol=ProtocolOptions(flip=False)),
            "--flip: the rows of a table fix",
        ),
        (replace(NOTHING, table=(2,)), "--table 2: the paper's results are in tables 3 to 7"),
        (replace(NOTHING, network=NetworkOptions(("D=x",))), "no scales: expected --scales"),
    ],
)
def test_refusals(options: GoalOptions, message: str) -> None:
    with pytest.raises((OptionError, ProtocolError), match=message):
        options.plan()
