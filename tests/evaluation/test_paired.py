"""Two runs compared image by image."""

from __future__ import annotations

from dataclasses import replace
from math import comb

import numpy as np
import pytest

from vggrepro.data.arrays import Ints
from vggrepro.errors import ProtocolError
from vggrepro.evaluation.paired import Answers, compare, paired_errors, sign_test

KEYS = ("a", "b", "c", "d")
LABELS = np.array([3, 1, 0, 2])


def answers(where: str, ranks: list[int], **combinations: list[int]) -> Answers:
    rows: dict[str, Ints] = {name: np.array(found) for name, found in combinations.items()}
    return Answers(where, "best", KEYS, LABELS, np.array(ranks), rows)


@pytest.mark.parametrize(("one", "other"), [(0, 0), (3, 3), (0, 5), (2, 9), (30, 12), (400, 380)])
def test_the_exact_sign_test(one: int, other: int) -> None:
    total = one + other
    expected = 2 * sum(comb(total, i) for i in range(min(one, other) + 1)) / 2**total
    assert sign_test(one, other) == pytest.approx(min(1.0, expected), rel=1e-9)
    assert sign_test(other, one) == sign_test(one, other)


def test_discordant_images_are_counted_by_top_1_and_top_5() -> None:
    found = paired_errors(np.array([0, 0, 5, 1]), np.array([1, 0, 0, 8]))
    assert found.images == 4
    assert (found.top1.only_ours, found.top1.only_theirs) == (1, 1)
    assert (found.top5.only_ours, found.top5.only_theirs) == (1, 1)
    assert found.top1.p_value == 1.0
    better = paired_errors(np.zeros(10, np.int64), np.full(10, 5))
    assert better.facts()["top5"] == {
        "k": 5,
        "only_ours": 10,
        "only_theirs": 0,
        "difference": -100.0,
        "p_value": pytest.approx(2 / 2**10),
    }


def test_combinations_are_paired_by_name_and_images_by_key() -> None:
    ours = answers("this run", [0, 0, 0, 0], dense=[0, 0, 0, 0], best=[0, 1, 0, 0], mine=[0, 0, 0, 0])
    theirs = answers("r.json", [9, 9, 9, 9], best=[1, 0, 6, 0], dense=[0, 0, 0, 9], yours=[0, 0, 0, 0])
    rows = {name: ranks[::-1] for name, ranks in theirs.combinations.items()}
    turned = replace(
        theirs, keys=KEYS[::-1], labels=LABELS[::-1], ranks=theirs.ranks[::-1], combinations=rows
    )
    for other in (theirs, turned):
        found = compare(ours, other)
        assert [(row.name, row.their_name) for row in found.rows] == [("dense", "dense"), ("best", "best")]
        assert found.detailed.name == "best"
        told = found.facts()
        assert (told["other"], told["images"]) == ("r.json", 4)
        assert told["top1"]["only_ours"] == told["rows"]["best"]["top1"]["only_ours"] == 2
        assert told["rows"]["best"]["top1"]["only_theirs"] == 1
        assert told["rows"]["dense"]["top5"]["only_ours"] == 1
    assert "against r.json on 4 common images: top-1 error -25.00 points (2 images" in found.sentence


def test_without_a_common_name_what_is_told_in_detail_is_compared() -> None:
    found = compare(answers("this run", [0, 0, 0, 0], best=[0, 0, 0, 0]), answers("p.csv", [0, 1, 1, 0]))
    assert [(row.name, row.their_name) for row in found.rows] == [("best", "best")]
    assert found.facts()["top1"]["only_ours"] == 2


def test_other_images_are_refused_by_name() -> None:
    ours = answers("this run", [0, 0, 0, 0])
    fewer = Answers("p.csv", "", KEYS[:3], LABELS[:3], ours.ranks[:3], {})
    with pytest.raises(ProtocolError, match=r"p\.csv: not the same images: p\.csv lacks 1, d first"):
        compare(ours, fewer)
    with pytest.raises(ProtocolError, match=r"q\.csv: not the same images: this run lacks 1, d first"):
        compare(replace(fewer, where="this run"), answers("q.csv", [0, 0, 0, 0]))
    relabelled = Answers("p.csv", "", KEYS, np.array([3, 1, 0, 5]), ours.ranks, {})
    with pytest.raises(ProtocolError, match=r"p\.csv: image d is of class 5 there, here of 2"):
        compare(ours, relabelled)
