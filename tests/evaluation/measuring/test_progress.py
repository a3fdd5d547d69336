"""The progress bar of an evaluation."""

import re

from vggrepro.evaluation.measuring.progress import progress
from vggrepro.system.ranks import Alone


def last_count(printed):
    """What the bar showed at its end: done, and of how many."""
    return re.findall(r"(\d+)/(\d+) \[", printed)[-1]


def test_a_bar_begins_where_an_earlier_run_ended(capsys):
    with progress("net", 50, 20.4, Alone()) as advance:
        advance(0.0)
    printed = capsys.readouterr().err
    assert re.findall(r"(\d+)/50 \[", printed)[0] == "20"
    assert last_count(printed) == ("50", "50")
    assert printed.lstrip("\r").startswith("net: ")


def test_parts_of_images_add_up(capsys, monkeypatch):
    shown = []
    monkeypatch.setattr(
        "tqdm.tqdm.update", lambda bar, more: (shown.append(more), setattr(bar, "n", bar.n + more))
    )
    with progress("net", 10, 0.0, Alone()) as advance:
        for _ in range(8):
            advance(0.25)
        advance(20.0)  # never beyond the end
        assert shown == [0, 0, 1, 0, 0, 1, 0, 0, 8]
    capsys.readouterr()


def test_the_first_of_several_ranks_shows_its_share(capsys):
    with progress("net", 100, 50.0, Alone(size=4)):
        pass
    printed = capsys.readouterr().err
    assert "net, 1 of 4 ranks: " in printed
    assert re.findall(r"(\d+)/25 \[", printed)[0] == "12"


def test_other_ranks_show_nothing(capsys):
    with progress("net", 100, 0.0, Alone(rank=1, size=4)) as advance:
        advance(3.0)
    assert capsys.readouterr().err == ""
