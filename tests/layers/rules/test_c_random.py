"""The random numbers of the C library."""

from __future__ import annotations

from vggrepro.layers.rules.c_random import c_random


def test_numbers_of_a_c_program_on_linux() -> None:
    numbers = c_random(10_000)
    assert numbers[:3].tolist() == c_random(3).tolist() == [1804289383, 846930886, 1681692777]
    assert (numbers[999], numbers[9999]) == (1143565421, 1908609430)
