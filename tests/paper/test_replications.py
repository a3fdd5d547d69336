"""Published errors of the paper's nets that others have measured."""

from vggrepro.paper.replications import REPLICATIONS, replications_of
from vggrepro.paper.rows import find_row


def test_replications_stand_beside_single_nets_only():
    assert {r.config for r in replications_of(find_row(3, "D:256").tested)} == {"D"}
    assert replications_of(find_row(6, "ensemble-2").tested) == ()
    assert replications_of(find_row(3, "C:256").tested) == ()


def test_replications_have_a_number_each():
    assert all(r.top5 is not None and 5 < r.top5 < 15 for r in REPLICATIONS)
    assert all(r.top1 is None or r.top5 < r.top1 < 35 for r in REPLICATIONS)
