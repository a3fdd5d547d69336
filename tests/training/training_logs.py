"""Logs of trainings: Caffe's of two times, and one of ours that was killed and resumed."""

from __future__ import annotations

from pathlib import Path

from vggrepro.training.journal import Journal

CAFFE = """\
Log file created at: 2016/03/12 10:20:30
I0312 10:20:30.100000 4242 solver.cpp:280] Solving tiny
I0312 10:20:30.200000 4242 solver.cpp:337] Iteration 0, Testing net (#0)
I0312 10:20:31.300000 4242 solver.cpp:404]     Test net output #0: accuracy = 0.1015
I0312 10:20:31.300000 4242 solver.cpp:404]     Test net output #1: loss = 2.35 (* 1 = 2.35 loss)
I0312 10:20:31.400000 4242 solver.cpp:228] Iteration 0, loss = 2.34
I0312 10:20:31.400000 4242 solver.cpp:244]     Train net output #0: loss = 2.34 (* 1 = 2.34 loss)
I0312 10:20:31.400000 4242 sgd_solver.cpp:106] Iteration 0, lr = 0.01
I0312 10:20:41.400000 4242 solver.cpp:218] Iteration 100 (10.5 iter/s, 9.5s/100 iters), loss = 1.5e-05
I0312 10:20:41.400000 4242 sgd_solver.cpp:106] Iteration 100, lr = 0.001
I0312 10:20:51.200000 4242 solver.cpp:337] Iteration 200, Testing net (#0)
I0312 10:20:51.300000 4242 solver.cpp:404]     Test net output #0: accuracy = 0.9
I0312 10:20:51.300000 4242 solver.cpp:404]     Test net output #1: loss = 0.25 (* 1 = 0.25 loss)
I0312 10:20:51.200000 4242 solver.cpp:337] Iteration 200, Testing net (#1)
I0312 10:20:51.300000 4242 solver.cpp:404]     Test net output #0: accuracy = 0.8
I0312 10:20:51.300000 4242 solver.cpp:404]     Test net output #0: accuracy = 0.7
I0312 10:20:52.400000 4242 solver.cpp:228] Iteration 200, loss = nan
"""

CAFFE_2013 = """\
I1205 10:20:30.200000 4242 solver.cpp:129] Iteration 500, Testing net
I1205 10:20:31.300000 4242 solver.cpp:162] Test score #0: 0.905
I1205 10:20:31.300000 4242 solver.cpp:162] Test score #1: 0.31
I1205 10:20:32.300000 4242 solver.cpp:87] Iteration 500, loss = 0.35
"""


def journal(path: Path) -> Path:
    log = Journal(path)
    log.event("start", 0)
    for iteration in range(0, 60, 10):
        rate = 0.01 if iteration < 30 else 0.001
        log.event("train", iteration, loss=2.0 - iteration / 50, rate=rate)
    log.event("test", 50, net=0, scores={"accuracy": 0.25, "loss": 1.0})
    log.event("start", 30)  # killed, and resumed from 30
    log.event("train", 30, loss=9.0, rate=0.001)
    log.event("test", 40, net=0, scores={"accuracy": 0.5, "loss": 0.5})
    log.close()
    return path
