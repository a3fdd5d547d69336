"""Random streams that depend on what they are for, never on when they are asked for.

Philox is counter-based: (seed, epoch, image) names a stream outright, without drawing all that
come before it, so neither threads nor ranks nor a restart can change what an image gets.
"""

from __future__ import annotations

import threading
from enum import IntEnum
from functools import lru_cache

import numpy as np
import numpy.typing as npt


class Purpose(IntEnum):
    """What a stream is for; streams of different purposes are independent."""

    ORDER = 0
    IMAGE = 1
    BATCH = 2
    SAMPLE = 3
    SKIP = 4


def stream(seed: int, purpose: Purpose, major: int = 0, minor: int = 0) -> np.random.Generator:
    """The stream of ``(seed, purpose, major, minor)``; for an image, major and minor are epoch and index.

    All are taken modulo 2^64, which makes Caffe's ``random_seed: -1`` a seed like any other.
    """
    key, counter = _key_and_counter(seed, purpose, major, minor)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def passing_stream(seed: int, purpose: Purpose, major: int = 0, minor: int = 0) -> np.random.Generator:
    """The same stream as :func:`stream`, good until this thread asks for the next one.

    Setting the state of one generator takes a tenth of the time of making another, and a training
    loader asks once for every image.
    """
    if not hasattr(_THREAD, "generator"):
        _THREAD.generator = np.random.Generator(np.random.Philox())
    key, counter = _key_and_counter(seed, purpose, major, minor)
    _THREAD.generator.bit_generator.state = {
        "bit_generator": "Philox",
        "state": {"counter": counter, "key": key},
        "buffer": _EMPTY,
        "buffer_pos": len(_EMPTY),  # all used: the next draw makes new ones
        "has_uint32": 0,
        "uinteger": 0,
    }
    generator: np.random.Generator = _THREAD.generator
    return generator


def _key_and_counter(
    seed: int, purpose: Purpose, major: int, minor: int
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    mask = (1 << 64) - 1
    # A stream is 2^64 blocks of the counter's lowest word long: no image ever draws that many.
    counter = np.array([0, 0, minor & mask, major & mask], np.uint64)
    return np.array([seed & mask, purpose], np.uint64), counter


_THREAD = threading.local()
_EMPTY = np.zeros(4, np.uint64)


@lru_cache(maxsize=4)
def epoch_order(seed: int, epoch: int, images: int, part: int = 0) -> npt.NDArray[np.int64]:
    """A permutation of the images, drawn for one epoch; read-only. ``part`` tells orders of the same
    epoch apart."""
    order = stream(seed, Purpose.ORDER, epoch, part).permutation(images)
    order.flags.writeable = False  # it is kept for the next caller
    return order


def sample(seed: int, images: int, count: int) -> npt.NDArray[np.int64]:
    """``count`` different images (all, if there are fewer), in ascending order."""
    return np.sort(stream(seed, Purpose.SAMPLE).permutation(images)[:count])
