"""Numbers of bytes and seconds in units that fit their size."""

from __future__ import annotations

from collections.abc import Sequence


def size(count: int) -> str:
    """The length of a file, in decimal units: ``640 bytes``, ``14.5 kB``, ``553.4 MB``."""
    return _scaled(count, 1000, ("kB", "MB", "GB", "TB"))


def memory(count: int) -> str:
    """An amount of memory, in binary units: ``640 bytes``, ``14.5 KiB``, ``553.4 MiB``."""
    return _scaled(count, 1024, ("KiB", "MiB", "GiB", "TiB"))


def duration(seconds: float) -> str:
    """``25 ms``, ``8.3 s``, and from a minute on a clock: ``00:01:30``, ``2 d 03:04:05``."""
    if seconds < 0.9995:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    days, rest = divmod(round(seconds), 86400)
    hours, rest = divmod(rest, 3600)
    clock = f"{hours:02}:{rest // 60:02}:{rest % 60:02}"
    return f"{days} d {clock}" if days else clock


def _scaled(count: int, base: int, units: Sequence[str]) -> str:
    if count < base:
        return f"{count} bytes"
    value = count / base
    for unit in units:
        if value < base - 0.05 or unit == units[-1]:  # and not 1000.0 kB
            return f"{value:.1f} {unit}"
        value /= base
    raise AssertionError(count)
