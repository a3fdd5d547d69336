"""The progress of long work: a bar on a terminal, lines in a file."""

import re
import sys

import pytest

from vggrepro.system.notes import quieted
from vggrepro.system.progress import EVERY, progress
from vggrepro.system.ranks import Alone


@pytest.fixture
def terminal(monkeypatch, capsys):
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda _: True)


def last_count(printed):
    """What the bar showed at its end: done, and of how many."""
    return re.findall(r"(\d+)/(\d+) \[", printed)[-1]


def test_a_bar_begins_where_an_earlier_run_ended(terminal, capsys):
    with progress("net", 50, 20.4, Alone()) as advance:
        advance(0.0)
    printed = capsys.readouterr().err
    assert re.findall(r"(\d+)/50 \[", printed)[0] == "20"
    assert last_count(printed) == ("50", "50")
    assert printed.lstrip("\r").startswith("net: ")


def test_parts_of_images_add_up(terminal, capsys, monkeypatch):
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


def test_the_first_of_several_ranks_shows_its_share(terminal, capsys):
    with progress("net", 100, 50.0, Alone(size=4)):
        pass
    printed = capsys.readouterr().err
    assert "net, 1 of 4 ranks: " in printed
    assert re.findall(r"(\d+)/25 \[", printed)[0] == "12"


def test_other_ranks_show_nothing(terminal, capsys):
    with progress("net", 100, 0.0, Alone(rank=1, size=4)) as advance:
        advance(3.0)
    assert capsys.readouterr().err == ""


def test_quiet_shows_nothing(terminal, capsys):
    with quieted(), progress("net", 100, 0.0, Alone()) as advance:
        advance(3.0)
    assert capsys.readouterr().err == ""


class FakeClock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def test_a_pipe_gets_a_line_soon_then_one_each_thirty_seconds_and_one_at_the_end(capsys):
    clock = FakeClock()
    with progress("net", 5000, 1000.0, Alone(), clock) as advance:
        assert capsys.readouterr().err == "net: goes on at 1,000 of 5,000 images\n"
        for _ in range(40):  # 10 images a second, told each 2.5 seconds
            clock.now += 2.5
            advance(25.0)
        shown = capsys.readouterr().err
    assert shown.splitlines() == [
        "net: 1,050 of 5,000 images, 10.0 img/s, 00:06:35 left",
        "net: 1,350 of 5,000 images, 10.0 img/s, 00:06:05 left",
        "net: 1,650 of 5,000 images, 10.0 img/s, 00:05:35 left",
        "net: 1,950 of 5,000 images, 10.0 img/s, 00:05:05 left",
    ]
    assert shown.endswith("\n")
    assert capsys.readouterr().err == "net: 5,000 of 5,000 images, 40.0 img/s, in 00:01:40\n"


def test_slow_work_has_a_line_as_soon_as_there_is_something_to_tell(capsys):
    clock = FakeClock()
    with progress("net", 10, 0.0, Alone(), clock) as advance:
        clock.now += 3 * EVERY
        advance(0.2)
        assert capsys.readouterr().err == "net: 0 of 10 images, 0.0 img/s\n"


def test_what_was_done_before_or_fails_has_no_line(capsys):
    with progress("net", 10, 10.0, Alone(), FakeClock()):
        pass
    with pytest.raises(KeyError), progress("net", 10, 0.0, Alone(), FakeClock()):
        raise KeyError
    assert capsys.readouterr().err == ""
