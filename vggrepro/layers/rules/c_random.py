"""The random numbers of the C library, from which layers of Caffe's forks take tables that are not saved."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

LONG_LAG, SHORT_LAG = 31, 3
UNUSED = 310
"""How many numbers the generator leaves out after it is seeded."""


def c_random(count: int) -> npt.NDArray[np.int64]:
    """The first ``count`` numbers that ``rand()`` gives after ``srand(1)``, from 0 to 2^31 - 1, in the C
    library of Linux (glibc), whose generator adds the numbers 3 and 31 places back modulo 2^32."""
    state = [1]
    while len(state) < LONG_LAG:
        state.append(16807 * state[-1] % (2**31 - 1))
    state += state[:SHORT_LAG]
    for _ in range(UNUSED + count):
        state.append((state[-LONG_LAG] + state[-SHORT_LAG]) % 2**32)
    return np.array(state[len(state) - count :], np.int64) >> 1
