"""Work done ahead in threads."""

import os
import subprocess
import sys
import threading
import time

import pytest

from vggrepro.errors import DataError
from vggrepro.system.threads import default_threads, ordered_map


def test_results_come_in_order_and_few_are_held():
    running, most, lock = 0, 0, threading.Lock()

    def work(item: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.001 * (item % 3))
        with lock:
            running -= 1
        return item * item

    taken = 0
    asked: list[int] = []

    def items():
        for item in range(60):
            asked.append(item)
            yield item

    for place, result in enumerate(ordered_map(work, items(), threads=3, ahead=5)):
        assert result == place * place
        assert len(asked) <= taken + 5
        taken += 1
    assert taken == 60
    assert most <= 3


def test_an_exception_is_raised_at_its_item_s_turn():
    def work(item: int) -> int:
        if item == 3:
            raise DataError("item 3")
        return item

    results = ordered_map(work, range(100), threads=2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(DataError, match="item 3"):
        next(results)


def test_what_nobody_waits_for_is_not_begun():
    begun = []
    release = threading.Event()

    def work(item: int) -> int:
        begun.append(item)
        if item:
            release.wait(10)
        return item

    results = ordered_map(work, range(1000), threads=2, ahead=50)
    assert next(results) == 0
    threading.Timer(0.05, release.set).start()
    results.close()
    assert len(begun) <= 4


def test_no_items_and_fewer_threads_than_one():
    assert list(ordered_map(str, [], threads=3)) == []
    assert list(ordered_map(str, [1, 2, 3], threads=0, ahead=0)) == ["1", "2", "3"]


def test_the_processors_are_those_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {3, 5, 7}, raising=False)
    assert default_threads() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert default_threads() == 1


@pytest.mark.skipif(sys.platform != "linux", reason="counts a process's threads as Linux lists them")
@pytest.mark.parametrize(("asked", "threads"), [(None, 1), ("2", min(2, default_threads()))])
def test_numpy_makes_no_threads_unless_it_is_told_to(asked, threads):
    code = (
        "import os, vggrepro.system.threads as t; before = dict(os.environ); t.import_numpy_alone();"
        "assert before == os.environ; import numpy; print(len(os.listdir('/proc/self/task')))"
    )
    given = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")}
    if asked is not None:
        given["OPENBLAS_NUM_THREADS"] = asked
    printed = subprocess.check_output([sys.executable, "-c", code], text=True, env=given)
    assert int(printed) == threads
