"""Work in a thread of its own."""

from __future__ import annotations

from threading import Event

import pytest

from vggrepro.system.background import Background


def test_work_begins_at_once_and_gives_its_result() -> None:
    begun, go_on = Event(), Event()

    def work(base: int, *, exponent: int) -> int:
        begun.set()
        go_on.wait(10)
        return base**exponent

    work_in_thread = Background(work, 2, exponent=5)
    assert begun.wait(10) and not work_in_thread.ended()
    go_on.set()
    assert work_in_thread.result() == 32 == work_in_thread.result()
    assert work_in_thread.ended()


def test_what_the_work_raises_is_raised_where_the_result_is_asked_for() -> None:
    work = Background(int, "x")
    work.wait()
    assert work.ended()
    with pytest.raises(ValueError, match="invalid literal"):
        work.result()
