"""Damage to bytes: what wear, cut transfers and ill will do to files."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Generator = np.random.Generator

NUMBERS = [0, 1, 2, 0x7F, 0x80, 0xFF, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1]
VARINTS = [b"\x00", b"\x7f", b"\x80\x01", b"\xff\xff\xff\xff\x07", b"\xff" * 9 + b"\x01", b"\x80" * 12]


def mutate(data: bytes, rng: Generator, corpus: Sequence[bytes], tokens: Sequence[bytes] = ()) -> bytes:
    """``data`` with one to four faults. ``corpus`` gives pieces of files, ``tokens`` words of the format."""
    kinds = [*_FAULTS, *([_word] * 3 if tokens else [])]
    for _ in range(int(rng.integers(1, 5))):
        fault = kinds[int(rng.integers(len(kinds)))]
        data = fault(data, rng, tokens if fault is _word else corpus)
    return data


def _place(data: bytes, rng: Generator) -> int:
    """A place in the data; the structure is mostly near the front, so half of the places are there."""
    end = len(data) if rng.random() < 0.5 else min(len(data), 400)
    return int(rng.integers(end + 1))


def _stretch(data: bytes, rng: Generator) -> slice:
    start = _place(data, rng)
    return slice(start, start + int(2 ** rng.uniform(0, 9)))


def _flip(data: bytes, rng: Generator, _: Sequence[bytes]) -> bytes:
    place = _place(data, rng)
    return (
        data[:place]
        + bytes(b ^ 1 << int(rng.integers(8)) for b in data[place : place + 1])
        + data[place + 1 :]
    )


def _cut(data: bytes, rng: Generator, _: Sequence[bytes]) -> bytes:
    return data[: _place(data, rng)]


def _remove(data: bytes, rng: Generator, _: Sequence[bytes]) -> bytes:
    gone = _stretch(data, rng)
    return data[: gone.start] + data[gone.stop :]


def _repeat(data: bytes, rng: Generator, _: Sequence[bytes]) -> bytes:
    again = _stretch(data, rng)
    times = int(2 ** rng.uniform(0, 8))
    return data[: again.start] + data[again] * times + data[again.stop :]


def _noise(data: bytes, rng: Generator, _: Sequence[bytes]) -> bytes:
    place = _place(data, rng)
    return data[:place] + rng.bytes(int(rng.integers(1, 16))) + data[place:]


def _number(data: bytes, rng: Generator, _: Sequence[bytes]) -> bytes:
    """A number that is an edge of its type, over what stands there."""
    size = int(2 ** rng.integers(4))
    number = NUMBERS[int(rng.integers(len(NUMBERS)))] % 256**size
    place = _place(data, rng)
    return data[:place] + number.to_bytes(size, "little") + data[place + size :]


def _varint(data: bytes, rng: Generator, _: Sequence[bytes]) -> bytes:
    place = _place(data, rng)
    return data[:place] + VARINTS[int(rng.integers(len(VARINTS)))] + data[place + int(rng.integers(3)) :]


def _splice(data: bytes, rng: Generator, corpus: Sequence[bytes]) -> bytes:
    """A piece of another file."""
    other = corpus[int(rng.integers(len(corpus)))]
    place = _place(data, rng)
    return data[:place] + other[_stretch(other, rng)] + data[place:]


def _word(data: bytes, rng: Generator, tokens: Sequence[bytes]) -> bytes:
    place = _place(data, rng)
    return data[:place] + tokens[int(rng.integers(len(tokens)))] + data[place + int(rng.integers(3)) :]


_FAULTS: list[Callable[[bytes, Generator, Sequence[bytes]], bytes]] = [
    _flip,
    _cut,
    _remove,
    _repeat,
    _noise,
    _number,
    _varint,
    _splice,
]
