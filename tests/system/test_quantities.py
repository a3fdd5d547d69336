"""Units that fit the size of a number."""

import pytest

from vggrepro.system.quantities import duration, memory, size


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (14_480, "14.5 kB"),
        (999_949, "999.9 kB"),
        (999_951, "1.0 MB"),
        (553_432_081, "553.4 MB"),
        (138_000_000_000, "138.0 GB"),
        (7_000 * 10**12, "7000.0 TB"),
    ],
)
def test_file_sizes_are_decimal(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("count", "text"), [(1023, "1023 bytes"), (1024, "1.0 KiB"), (3 << 19, "1.5 MiB"), (78 << 30, "78.0 GiB")]
)
def test_memory_is_binary(count: int, text: str) -> None:
    assert memory(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 ms"),
        (0.0254, "25 ms"),
        (0.9996, "1.0 s"),
        (59.94, "59.9 s"),
        (59.96, "00:01:00"),
        (3725, "01:02:05"),
        (2 * 86400 + 61, "2 d 00:01:01"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
